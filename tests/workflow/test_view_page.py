"""The page of `chexviz view` in a browser: what a user sees, does, and is told."""

import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

import made_bundles
from browser import DESKTOP, PHONE, find_browser
from chexviz.base.source_code import PACKAGE
from made_dicoms import chest, write_dicom
from made_rasters import encoded

SLOW = 60_000  # milliseconds
BRIGHTNESS = """canvas => {
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const sum = values => values.reduce((one, other) => one + other, 0);
    return [0, 1, 2].map(at => sum(data.filter((_, place) => place % 4 === at)));
}"""
FOCUSED = "() => document.activeElement.id || document.activeElement.textContent"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> list[Path]:
    """Two bundles of different models."""
    folder = tmp_path_factory.mktemp("bundles")
    for name, heads in (("one", made_bundles.HEADS), ("two", {"south": ["pneumothorax"]})):
        model = made_bundles.model_of(heads)
        with torch.no_grad():
            if name == "two":
                model.tasks["south"].layers[0].weight[:, ::2] = 0
        made_bundles.write(folder / name, model, made_bundles.about(model))
    return [folder / "one", folder / "two"]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """A DICOM file, a PNG, and a text that is called as a radiograph is."""
    folder = tmp_path_factory.mktemp("files")
    first = write_dicom(folder / "a.dcm", chest(1, (80, 60)), ViewPosition="PA", PatientSex="F")
    (folder / "b.png").write_bytes(encoded(chest(2, (40, 70))))
    (folder / "c.dcm").write_text("<b>no radiograph</b>")
    return [first, folder / "b.png", folder / "c.dcm"]


@contextmanager
def served(*words: str | Path) -> Iterator[str]:
    """The address of a page that is served."""
    line = [sys.executable, "-m", "chexviz", "view", *map(str, words), "--no-browser"]
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            said = "".join(process.stdout.readline() for _ in range(3))
            yield re.search(r"http://\S+", said)[0]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


@pytest.fixture(scope="module")
def address(bundles) -> Iterator[str]:
    with served(bundles[0]) as page:
        yield page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium, address):
    """Opens the page in a tab; nothing in any of them may fail or ask anyone else."""
    wrong, opened = [], []

    def open_tab(size: tuple[int, int] = DESKTOP, url: str = address, **options) -> Page:
        page = chromium.new_page(viewport={"width": size[0], "height": size[1]}, **options)
        opened.append(page)
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda one: one.url.startswith(url) or wrong.append(one.url))
        page.goto(url)
        page.locator("body[data-ready]").wait_for(timeout=SLOW)
        return page

    open_tab.wrong = wrong
    yield open_tab
    for page in opened:
        page.close()
    assert wrong == []


def add(page: Page, *paths: Path, read: int, refused: int = 0) -> None:
    page.locator("#picker").set_input_files([*map(str, paths)])
    said = f"{read} read" + f", {refused} refused" * bool(refused)
    expect(page.locator("#status")).to_have_text(said, timeout=SLOW)


def brightness(page: Page, pane: int = 0) -> list[int]:
    """The sums of red, green and blue of a picture, when it is painted."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    return page.locator("canvas").nth(pane).evaluate(BRIGHTNESS)


def set_slider(slider: Locator, value: int) -> None:
    slider.evaluate(
        "(one, value) => { one.value = value; one.dispatchEvent(new Event('input')); }", value
    )


def shown(page: Page, name: str) -> None:
    expect(page.locator("#name")).to_have_text(name)
    expect(page.locator("#viewing[data-shown]")).to_be_visible()


def rows(page: Page) -> list[str]:
    """The names in the list, in its order."""
    return [one.split()[0] for one in page.locator("#rows th").all_inner_texts()]


def test_a_radiograph_is_seen_as_it_is_with_what_is_said_of_it(tab, files):
    page = tab()
    add(page, *files, read=2, refused=1)
    shown(page, "a.dcm")
    expect(page.locator("#about")).to_have_text("view PA, 60 × 80 pixels")
    total = int(chest(1, (80, 60)).astype(int).sum())
    assert brightness(page) == [total] * 3
    card = page.get_by_role("article", name="Pneumonia")
    value = float(card.get_by_role("meter").get_attribute("aria-valuenow"))
    expect(card.locator(".value")).to_have_text(f"{value:.3f}")
    said = card.get_by_role("meter").get_attribute("aria-valuetext")
    assert said in (f"probability {value:.3f}, positive", f"probability {value:.3f}, negative")
    assert said.endswith("positive") == (value >= 0.5)
    expect(card).to_contain_text("Mark: youden at 0.500")
    assert card.locator(".tick").evaluate("one => one.style.left") == "50%"
    card.locator("summary").click()
    expect(card.locator(".tests")).to_contain_text("0.800 (0.750–0.850)")
    expect(card.locator(".tests")).to_contain_text("view PA60 images, 20 positive0.750")
    expect(card.locator(".tests")).not_to_contain_text("age 40-59")
    other = page.get_by_role("article", name="Pneumothorax")
    expect(other).to_contain_text(
        "A score is no probability: the protocol has no validation images"
    )
    expect(other).to_contain_text("The bundle says of no test of this finding.")
    page.get_by_label("Operating point").select_option("sensitivity-0.9")
    expect(card).to_contain_text("Mark: sensitivity-0.9 at 0.449")


def test_window_and_level_change_the_picture(tab, files):
    page = tab()
    add(page, files[0], read=1)
    shown(page, "a.dcm")
    (before, *_) = brightness(page)
    set_slider(page.get_by_label("Window"), 100)
    set_slider(page.get_by_label("Level", exact=True), 60)
    grey = chest(1, (80, 60)).astype(float)
    expected = np.rint((255 * ((grey - 59.5) / 99 + 0.5)).clip(0, 255)).sum()
    assert brightness(page)[0] == pytest.approx(expected, rel=0.002)
    page.get_by_role("button", name="Invert").click()
    assert brightness(page)[0] == pytest.approx(80 * 60 * 255 - expected, rel=0.002)
    page.get_by_role("button", name="Reset").click()
    assert brightness(page) == [before] * 3
    box = page.locator("canvas").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] - 60, middle[1] + 40, steps=5)
    page.mouse.up()
    expect(page.locator("#window-value")).to_have_text("226")
    expect(page.locator("#level-value")).to_have_text("148")
    page.get_by_role("button", name="Larger").click()
    expect(page.locator("#zoom")).to_have_text("1.5×")
    assert page.locator("canvas").bounding_box()["width"] == pytest.approx(
        1.5 * box["width"], abs=1
    )


def test_a_map_is_coloured_as_opaque_as_its_slider_says(tab, files):
    page = tab()
    add(page, files[0], read=1)
    shown(page, "a.dcm")
    plain = brightness(page)
    button = page.get_by_role("button", name="Show where Pneumothorax is seen")
    button.click()
    expect(page.locator("figcaption")).to_have_text(
        "map of Pneumothorax, scaled to its own maximum"
    )
    expect(button).to_have_attribute("aria-pressed", "true")
    full = brightness(page)
    assert full[0] != full[2]
    slider = page.get_by_label("Opacity of the map of Pneumothorax, percent")
    expect(slider).to_have_value("65")
    set_slider(slider, 20)
    faint = brightness(page)
    for at, (one, other) in enumerate(zip(faint, full, strict=True)):
        # Half a grey level of rounding a pixel.
        assert one - plain[at] == pytest.approx((other - plain[at]) * 20 / 65, abs=80 * 60 / 2)
    set_slider(slider, 0)
    assert brightness(page) == plain
    button.click()
    assert brightness(page) == plain
    expect(page.locator("#status")).to_have_text("No map is shown")


def test_a_wrong_file_is_said_and_stops_nothing(tab, files, tmp_path):
    page = tab()
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("../../out.png", encoded(chest(3)))
    evil = tmp_path / "<img src=x onerror=alert(1)>.png"
    evil.write_bytes(b"")
    add(page, files[2], tmp_path / "d.zip", evil, files[1], read=1, refused=3)
    shown(page, "b.png")
    texts = [" ".join(one.split()) for one in page.locator("#rows tr").all_inner_texts()]
    assert "refused: not a DICOM file" in texts[0]
    assert "leads out of the archive" in texts[1]
    assert "<img src=x onerror=alert(1)>.png refused: empty: the file has 0 bytes" in texts[2]
    page.locator("#rows tr").first.click()
    expect(page.locator("#viewing")).to_be_hidden()
    expect(page.locator("#status")).to_have_text("c.dcm: refused: not a DICOM file")
    assert page.locator("#rows img").count() == 0


def test_fifty_files_are_listed_sorted_and_cleared(tab, tmp_path):
    paths = []
    for number in range(50):
        path = tmp_path / f"{number}.png"
        path.write_bytes(encoded(chest(number, (48, 48))))
        paths.append(path)
    page = tab()
    add(page, *paths, read=50)
    expect(page.locator("#rows tr")).to_have_count(50)
    assert rows(page) == [f"{number}.png" for number in range(50)]
    page.get_by_role("button", name="Pneumothorax", exact=True).click()
    numbers = [
        float(one.split("*")[0]) for one in page.locator("#rows td:last-child").all_inner_texts()
    ]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) > 10
    expect(page.locator("th[aria-sort=descending]")).to_have_text("Pneumothorax ▼")
    page.get_by_role("button", name="Pneumothorax", exact=True).click()
    again = [
        float(one.split("*")[0]) for one in page.locator("#rows td:last-child").all_inner_texts()
    ]
    assert again == sorted(numbers)
    page.get_by_role("button", name="File").click()
    assert rows(page) == [f"{number}.png" for number in range(50)]
    page.get_by_role("button", name="Clear list").click()
    expect(page.locator("#batch")).to_be_hidden()
    expect(page.locator("#viewing")).to_be_hidden()
    add(page, paths[7], read=1)
    assert rows(page) == ["7.png"]


def test_everything_can_be_done_by_keys(tab, files):
    page = tab()
    choosers = []
    page.on(
        "filechooser", lambda one: choosers.append(one)
    )  # now, since the browser has to hear of it
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "open-card"
    while page.evaluate(FOCUSED) != "choose":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_timeout(500)
    choosers[0].set_files([*map(str, files)])
    expect(page.locator("#status")).to_have_text("2 read, 1 refused", timeout=SLOW)
    shown(page, "a.dcm")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.tagName") == "TR":
            break
    for key, name in (("ArrowDown", "b.png"), ("ArrowUp", "a.dcm"), ("j", "b.png"), ("k", "a.dcm")):
        page.keyboard.press(key)
        expect(page.locator("#name")).to_have_text(name)
        assert page.locator("#rows tr[aria-selected=true]").inner_text().startswith(name)
    before = brightness(page)
    page.keyboard.press("2")
    expect(page.locator("figcaption")).to_contain_text("map of Pneumothorax")
    full = brightness(page)
    assert full != before
    page.keyboard.press(",")
    assert before != brightness(page) != full
    page.keyboard.press("h")
    expect(page.locator("figcaption")).to_have_text("")
    page.keyboard.press("d")  # no wider than all
    assert brightness(page) == before
    page.keyboard.press("a")
    expect(page.locator("#window-value")).to_have_text("248")
    page.keyboard.press("r")
    page.locator("#window").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#window-value")).to_have_text("255")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("j")  # nothing behind an open window moves
    expect(page.locator("#name")).to_have_text("a.dcm")
    page.get_by_role("checkbox").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("j")  # single keys are off
    expect(page.locator("#name")).to_have_text("a.dcm")


def test_the_card_the_mark_and_the_warning_are_there(tab, files):
    page = tab()
    expect(page.locator(".warning")).to_contain_text("DEMO: random weights")
    expect(page.locator(".warning")).to_contain_text("Research use only; not a medical device.")
    page.get_by_role("button", name="Model card").click()
    expect(page.get_by_role("dialog", name="Model card")).to_contain_text("a card")
    page.keyboard.press("Escape")
    add(page, *files[:2], read=2)
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    page.mouse.wheel(0, 3000)
    expect(page.locator(".warning")).to_be_in_viewport()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_have_letters_that_can_be_read(tab, files, scheme):
    page = tab(color_scheme=scheme)
    add(page, *files, read=2, refused=1)
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 30
    assert [one for one in contrasts if one[0] < 4.5] == []
    background = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 200) == (scheme == "dark")
    page.get_by_role("button", name="Dark").click()
    after = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", after))) < 200) == (scheme == "light")


# Of each element that has a text of its own: its contrast (WCAG 2.1) and the text.
CONTRASTS = """() => {
    const light = colour => {
        const [r, g, b] = colour.map(one => one / 255)
            .map(one => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const numbers = text => text.match(/[0-9.]+/g).map(Number);
    const behind = element => {
        for (let one = element; one; one = one.parentElement) {
            const colour = numbers(getComputedStyle(one).backgroundColor);
            if (colour.length === 3 || colour[3] > 0) return colour.slice(0, 3);
        }
    };
    return [...document.querySelectorAll("body *")]
        .filter(one => one.checkVisibility() && !one.closest("option"))
        .filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
        .map(one => {
            const front = light(numbers(getComputedStyle(one).color).slice(0, 3));
            const back = light(behind(one));
            const [high, low] = front > back ? [front, back] : [back, front];
            return [(high + 0.05) / (low + 0.05), one.textContent.trim().slice(0, 40)];
        });
}"""


def test_all_that_is_used_has_a_name(tab, files):
    page = tab()
    add(page, *files, read=2, refused=1)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, canvas, [tabindex='0']")]
            .filter(one => one.checkVisibility())
            .filter(one => !(one.labels?.length || one.ariaLabel || one.textContent.trim()))
            .map(one => one.outerHTML)"""
    )
    assert nameless == []
    assert page.locator("html").get_attribute("lang") == "en"
    expect(page.get_by_role("img")).to_have_accessible_name(re.compile(r"^a\.dcm"))
    expect(page.get_by_role("grid")).to_have_accessible_name("Radiographs; arrow keys choose one")
    expect(page.locator("#status")).to_have_attribute("aria-live", "polite")


@pytest.mark.parametrize("width", [320, PHONE[0], 768, 1024, DESKTOP[0], 1920])
def test_no_width_needs_scrolling_across(tab, files, width):
    page = tab((width, 800))
    add(page, *files, read=2, refused=1)
    page.get_by_role("button", name="Show where Pneumonia is seen").click()
    page.locator("summary").first.click()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    canvas = page.locator("canvas").bounding_box()
    assert canvas["width"] > min(250, width / 3)
    assert canvas["x"] >= 0
    assert canvas["x"] + canvas["width"] <= width


def test_two_tabs_do_not_see_each_other_and_are_forgotten(tab, files):
    one, other = tab(), tab()
    asked = []
    one.on("response", lambda answer: asked.append(answer.url) if "/pixels" in answer.url else None)
    add(one, files[0], read=1)
    add(other, files[1], read=1)
    shown(one, "a.dcm")
    shown(other, "b.png")
    assert (rows(one), rows(other)) == (["a.dcm"], ["b.png"])
    (pixels,) = asked
    assert one.request.get(pixels).status == 200
    one.close()
    other.wait_for_timeout(500)
    assert other.request.get(pixels).status == 410
    assert brightness(other)[0] > 0
    add(other, files[0], read=2)


def test_a_forgotten_tab_says_so_and_begins_anew(tab, files):
    page = tab()
    add(page, files[0], read=1)
    with page.expect_request(re.compile("/files")) as sent:
        page.locator("#picker").set_input_files(str(files[1]))
    session = sent.value.url.split("/sessions/")[1].split("/")[0]
    expect(page.locator("#status")).to_have_text("2 read", timeout=SLOW)
    base = sent.value.url.split("sessions/")[0]
    assert page.request.post(f"{base}sessions/{session}/forget").status == 204
    page.locator("#picker").set_input_files(str(files[0]))
    expect(page.locator("#status")).to_contain_text("are gone. Add them again.")
    add(page, files[0], read=1)
    assert rows(page) == ["a.dcm"]
    assert [one for one in tab.wrong if "410" not in one] == []
    tab.wrong.clear()  # the browser itself reports an answer of 410


def test_files_and_folders_can_be_dropped(tab, files):
    page = tab()
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(["text"], "dropped.png"));
            dispatchEvent(new DragEvent("dragover", {dataTransfer: data}));
        }"""
    )
    expect(page.locator("#drop")).to_have_class("over")
    names = page.evaluate(DROPPED)
    expect(page.locator("#status")).to_have_text("0 read, 3 refused", timeout=SLOW)
    assert names is None
    assert sorted(rows(page)) == ["alone.txt", "study/1.dcm", "study/deep/2"]


# A folder as a browser hands it over: file entries of a drop cannot be made by a program.
DROPPED = """() => {
    const file = path => ({
        isFile: true, name: path.split("/").pop(), fullPath: path,
        file: done => done(new File([], path)),
    });
    const folder = (path, entries) => ({
        isFile: false, name: path, fullPath: path,
        createReader: () => ({ readEntries: done => done(entries.splice(0)) }),
    });
    const items = [
        file("/alone.txt"),
        folder("/study", [
            file("/study/1.dcm"), file("/study/notes.txt"), file("/study/.hidden"),
            file("/study/DICOMDIR"), folder("/study/deep", [file("/study/deep/2")]),
        ]),
    ].map(entry => ({ webkitGetAsEntry: () => entry }));
    const event = new Event("drop");
    event.dataTransfer = { items };
    dispatchEvent(event);
}"""


def test_two_models_stand_beside_each_other(tab, bundles, files):
    with served(bundles[0], "--beside", bundles[1]) as url:
        page = tab(url=url)
        add(page, files[0], read=1)
        shown(page, "a.dcm")
        card = page.get_by_role("article", name="Pneumothorax")
        expect(card.get_by_role("meter")).to_have_count(2)
        first, second = (
            one.get_attribute("aria-valuenow") for one in card.get_by_role("meter").all()
        )
        assert first != second
        expect(page.get_by_role("article", name="Pneumonia")).to_contain_text("does not know it")
        expect(page.locator("figure").nth(1)).to_be_hidden()
        page.get_by_role("button", name="Show where Pneumothorax is seen").click()
        expect(page.locator("figure").nth(1)).to_be_visible()
        expect(page.locator("figcaption").nth(1)).to_contain_text("map of Pneumothorax")
        assert brightness(page, 0) != brightness(page, 1)
        page.get_by_role("button", name="Show where Pneumonia is seen").click()
        expect(page.locator("figure").nth(1)).to_be_hidden()  # whose model does not know it
        page.get_by_role("button", name="Model card").click()
        page.locator("#card-tabs button").nth(1).click()
        expect(page.locator("#card-tabs button").nth(1)).to_have_attribute("aria-pressed", "true")
        page.close()
