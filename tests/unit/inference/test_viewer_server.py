"""The server of the page: who is let in, what it takes, what it says, and what it forgets."""

import json
import os
import re
import zipfile
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from starlette.testclient import TestClient

import made_bundles
from chexviz.data.convert import read_image
from chexviz.data.workers import Workers
from chexviz.images.annotated import upsample
from chexviz.inference.answering import Model, Outputs
from chexviz.inference.bundle import open_bundle
from chexviz.inference.runtime import Runtime
from chexviz.inference.viewer import about, server
from chexviz.inference.viewer.guard import HEADERS
from chexviz.inference.viewer.seeing import Viewer
from chexviz.inference.viewer.server import application, page_files
from chexviz.inference.viewer.sessions import IDLE, Sessions
from made_dicoms import chest, write_dicom
from made_rasters import encoded, made_png

TOKEN, PORT = "secret-token", 8765
HERE = f"http://127.0.0.1:{PORT}"
PNG = encoded(chest(1, (80, 60)))
PATHS = (
    "/",
    "/about",
    "/cards/0",
    "/static/app.js",
    "/static/none.js",
    "/sessions/x/images/0/pixels",
)


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def viewer(bundle_folder) -> Iterator[Viewer]:
    bundle = open_bundle(bundle_folder)
    with Workers(1) as workers:
        yield Viewer([Model(bundle_folder, bundle, "youden", Outputs(None, None))], workers)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock) -> Sessions:
    return Sessions(clock=clock)


@pytest.fixture
def app(viewer, sessions):
    return application(viewer, [[["p", {}, ["a card"]]]], TOKEN, PORT, sessions)


@pytest.fixture
def client(app) -> Iterator[TestClient]:
    """A browser that knows the address of the page."""
    with TestClient(app, base_url=f"{HERE}/{TOKEN}/") as opened:
        yield opened


def begun(client: TestClient) -> str:
    return client.post("sessions").json()["session"]


def sent(client: TestClient, session: str, data: bytes, name: str = "a.png") -> list[dict]:
    answer = client.post(f"sessions/{session}/files", params={"name": name}, content=data)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def zipped(*members: tuple[str, bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


# --- who is let in -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", ["", "/", "/wrong", f"/{TOKEN}x", f"/{TOKEN[:-1]}", "/%C3%A9"])
def test_nothing_is_there_without_the_token(app, path, token):
    answer = TestClient(app, base_url=HERE).get(f"{HERE}{token}{path}")
    assert answer.status_code == 403
    assert answer.text == "The address lacks its secret: open the one that chexviz view printed."
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize(
    "host",
    ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", f"localhost:{PORT}."],
)
def test_another_name_of_the_server_is_refused(client, host):
    answer = client.get("about", headers={"Host": host})
    assert answer.status_code == 403
    assert "not that of this page" in answer.text


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (HERE, 200),
        ("http://evil.example", 403),
        ("null", 403),
        (f"http://localhost:{PORT}", 403),
        ("http://127.0.0.1:1", 403),
        (f"https://127.0.0.1:{PORT}", 403),
    ],
)
def test_pages_of_others_get_nothing(client, origin, status):
    assert client.post("sessions", headers={"Origin": origin}).status_code == status


def test_every_answer_forbids_what_the_page_does_not_need(client):
    session = begun(client)
    for answer in (
        *(client.get(path.lstrip("/") or ".") for path in PATHS),
        client.post(f"sessions/{session}/files", content=PNG),
        client.get("nothing"),
    ):
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert "set-cookie" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy


def test_the_page_has_no_code_or_style_within_it():
    text = page_files()["index.html"].decode()
    assert "<style" not in text
    assert " style=" not in text
    assert not re.search(r"\son\w+=", text)
    assert text.count("<script") == text.count('<script type="module" src=') == 1
    assert "http" not in text


def test_only_the_files_of_the_page_are_given_out(client):
    for name, content in page_files().items():
        answer = client.get(f"static/{name}")
        assert answer.content == content
        assert answer.headers["content-type"] == server.PAGES[name]
    for name in (
        "../server.py",
        "..%2fserver.py",
        "%2e%2e/server.py",
        "/etc/passwd",
        "",
        "app.js/",
    ):
        assert client.get(f"static/{name}").status_code in (403, 404)


# --- what is said --------------------------------------------------------------------------------


def test_a_radiograph_gets_the_scores_of_the_command(client, bundle_folder, tmp_path):
    path = write_dicom(
        tmp_path / "a.dcm",
        chest(1, (80, 60)),
        ViewPosition="PA",
        PatientSex="F",
        PatientAge="058Y",
    )
    session = begun(client)
    (said,) = sent(client, session, path.read_bytes(), "a.dcm")
    bundle = open_bundle(bundle_folder)
    made = bundle.preprocessing
    image, _, _ = read_image(path.read_bytes(), made.size, made.fit, made.max_pixels)
    seen = Runtime.of(bundle_folder, bundle).run(image[np.newaxis], mapped=True)
    (answer,) = said["answers"]
    score = seen.scores["pneumonia", "mean"][0]
    assert answer["findings"]["pneumonia"]["score"] == pytest.approx(score, abs=1e-6)
    assert answer["groups"] == {"view": "PA", "sex": "F", "age": "40-59"}
    assert (said["name"], said["reason"]) == ("a.dcm", "")
    assert (said["shown"], said["bits"]) == ([80, 60], 8)
    pixels = client.get(f"sessions/{session}/images/{said['id']}/pixels").content
    np.testing.assert_array_equal(
        np.frombuffer(pixels, np.uint8).reshape(80, 60), chest(1, (80, 60))
    )
    heat = client.get(f"sessions/{session}/images/{said['id']}/maps/0/pneumothorax").content
    # The square that the model saw is 80 x 80, with ten black columns on each side.
    (whole,) = upsample(seen.maps["pneumothorax"], 80)
    expected = np.rint(255 * whole[:, 10:70]).astype(int)
    found = np.frombuffer(heat, np.uint8).reshape(80, 60).astype(int)
    assert np.abs(found - expected).max() <= 1
    assert found.max() > 200


def test_more_than_8_bits_reach_the_page(client, tmp_path):
    stored = (257 * chest(2, (40, 40)).astype(np.uint16)).astype(np.uint16)
    session = begun(client)
    (said,) = sent(client, session, made_png(stored), "deep.png")
    assert said["bits"] == 16
    pixels = client.get(f"sessions/{session}/images/{said['id']}/pixels").content
    found = np.frombuffer(pixels, "<u2").reshape(40, 40).astype(int)
    assert len(np.unique(found)) > 200
    assert np.abs(found - stored.astype(int)).max() <= 2


def test_large_radiographs_are_reduced_to_what_a_screen_shows(client):
    session = begun(client)
    (said,) = sent(client, session, encoded(chest(3, (500, 1900))))
    assert said["shown"] == [404, 1536]
    assert (said["answers"][0]["height"], said["answers"][0]["width"]) == (500, 1900)


def test_the_page_is_told_points_tests_and_limits(client, viewer):
    told = client.get("about").json()
    assert told["research"] == "Research use only; not a medical device."
    (model,) = told["models"]
    assert (model["title"], model["mark"]) == ("Standard, FedAvg", made_bundles.MARK)
    first, second = model["findings"]
    youden = first["points"][0]
    assert (youden["name"], youden["threshold"]) == ("youden", 0.5)
    assert youden["at"] == pytest.approx(0.5)  # a temperature leaves a half where it is
    assert first["points"][1]["at"] == pytest.approx(1 / (1 + (0.6 / 0.4) ** 0.5))
    assert [one["group"] for one in first["tested"]] == ["all", "PA", "F", "40-59", "60+"]
    assert first["tested"][0]["measures"]["auroc"] == pytest.approx([0.8, 0.75, 0.85])
    assert second["calibrated"] is False
    assert second["points"] == second["tested"] == []
    assert told["limits"] == {"file": viewer.most, "archive": 2**29, "files": 1000}
    assert len(told["colours"]) == 256
    assert client.get("cards/0").json() == [["p", {}, ["a card"]]]
    assert client.get("cards/1").status_code == client.get("cards/-1").status_code == 404


# --- what is refused -----------------------------------------------------------------------------


WRONG = {
    "nothing": (b"", "empty: the file has 0 bytes"),
    "text": (b"no image at all", "not a DICOM file"),
    "half": (PNG[: len(PNG) // 2], "truncated: the PNG ends before its last chunk"),
    "gif": (b"GIF89a" + bytes(300), "not a radiograph that can be read: GIF"),
    "huge": (made_png(chest(1, (8, 8)), width=60000, height=60000), "too large: 60000 x 60000"),
    "uniform": (encoded(np.full((40, 40), 7, np.uint8)), "shows nothing"),
    "texts": (zipped(("notes.txt", b"text")), "no radiograph in it: DICOM, PNG or JPEG"),
    "parents": (zipped(("../../a.png", PNG)), "leads out of the archive"),
    "absolute": (zipped(("/etc/a.png", PNG)), "leads out of the archive"),
    "damaged": (b"PK\x03\x04" + bytes(40), "expected a whole zip archive"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_file_is_refused_in_words(client, kind):
    data, reason = WRONG[kind]
    (said,) = sent(client, begun(client), data, "wrong")
    assert reason in said["reason"]
    assert said["answers"] == []
    assert "id" not in said
    assert "\n" not in said["reason"]


def test_an_archive_is_as_many_radiographs_as_it_holds(client):
    session = begun(client)
    archive = zipped(
        ("study/a.png", PNG),
        ("study/b.png", b""),
        ("study/._a.png", b"of macOS"),
        ("notes.txt", b"text"),
        ("inner.zip", zipped(("c.png", PNG))),
        ("study/unnamed", encoded(chest(4, (40, 40)))),
    )
    said = sent(client, session, archive, "batch.zip")
    assert [(one["name"], one["reason"]) for one in said] == [
        ("batch.zip:study/a.png", ""),
        ("batch.zip:study/b.png", "empty: the file has 0 bytes"),
        ("batch.zip:inner.zip", "an archive within an archive: unpack it first"),
        ("batch.zip:study/unnamed", ""),
    ]


def test_a_bomb_is_refused_before_it_is_read(client, monkeypatch):
    monkeypatch.setattr("chexviz.inference.viewer.uploads.SURELY_SMALL", 10**6)
    session = begun(client)
    (said,) = sent(client, session, zipped(("a.png", bytes(10**7))), "bomb.zip")
    assert "where 1.0 MB are allowed" in said["reason"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "../../etc/passwd"),
        ("<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),
        ("a\x1b[2J\u202eb.png", "a?[2J?b.png"),
        ("", "radiograph"),
        ("x" * 5000, "x" * 199 + "…"),
    ],
)
def test_a_name_is_shown_and_leads_nowhere(client, tmp_path, monkeypatch, name, shown):
    monkeypatch.chdir(tmp_path)
    (said,) = sent(client, begun(client), PNG, name)
    assert said["name"] == shown
    assert not said["reason"]
    assert [*tmp_path.iterdir()] == []


def test_more_bytes_than_a_file_may_have_are_not_taken(client, viewer, monkeypatch):
    monkeypatch.setattr(server, "ARCHIVE", 5000)
    session = begun(client)
    path = f"sessions/{session}/files"
    assert viewer.most == 4 * 10**6 + 2**24
    answer = client.post(path, content=bytes(viewer.most + 1))
    assert answer.status_code == 413
    assert answer.json()["detail"] == "too large: a radiograph may have 19 MiB"
    answer = client.post(path, content=b"PK\x03\x04" + bytes(5000))
    assert answer.status_code == 413
    assert answer.json()["detail"].startswith("too large: a zip archive may have ")
    assert not sent(client, session, PNG)[0]["reason"]


def test_a_length_that_is_not_said_is_counted(client, viewer):
    def parts() -> Iterator[bytes]:
        for _ in range(viewer.most // 2**20 + 2):
            yield bytes(2**20)

    assert client.post(f"sessions/{begun(client)}/files", content=parts()).status_code == 413


def test_a_file_that_ends_its_decoder_costs_itself_alone(client, viewer, monkeypatch):
    session = begun(client)
    monkeypatch.setattr("chexviz.inference.viewer.seeing.open_chunk", end_process)
    (said,) = sent(client, session, PNG)
    assert said["reason"] == "it ended the process that decoded it: exit status 3"
    monkeypatch.undo()
    assert not sent(client, session, PNG)[0]["reason"]


def end_process(files, made):
    """What a fault in a decoder does; it is none of a worker that has nothing to open."""
    if files:
        os._exit(3)
    return []


# --- sessions ------------------------------------------------------------------------------------


def test_a_tab_sees_its_own_radiographs_alone(client):
    one, other = begun(client), begun(client)
    assert one != other
    (said,) = sent(client, one, PNG)
    for path in ("pixels", "maps/0/pneumonia"):
        assert client.get(f"sessions/{one}/images/{said['id']}/{path}").status_code == 200
        assert client.get(f"sessions/{other}/images/{said['id']}/{path}").status_code == 410
        assert client.get(f"sessions/none/images/{said['id']}/{path}").status_code == 410
    for path in ("maps/1/pneumonia", "maps/-1/pneumonia", "maps/0/other"):
        assert client.get(f"sessions/{one}/images/{said['id']}/{path}").status_code == 404


def test_a_closed_tab_is_forgotten(client, sessions):
    session = begun(client)
    (said,) = sent(client, session, PNG)
    assert client.post(f"sessions/{session}/forget").status_code == 204
    assert sessions.all == {}
    assert client.get(f"sessions/{session}/images/{said['id']}/pixels").status_code == 410
    answer = client.post(f"sessions/{session}/files", content=PNG)
    assert (answer.status_code, answer.text) == (410, "These radiographs are gone: add them again.")
    assert client.post(f"sessions/{session}/forget").status_code == 204


def test_an_idle_tab_is_forgotten(client, sessions, clock):
    idle, used = begun(client), begun(client)
    (said,) = sent(client, used, PNG)
    clock.now = IDLE - 1
    assert client.get(f"sessions/{used}/images/{said['id']}/pixels").status_code == 200
    clock.now = IDLE + 1
    sessions.forget_idle()
    assert [*sessions.all] == [used]
    assert client.post(f"sessions/{idle}/files", content=PNG).status_code == 410


def test_tabs_and_memory_have_bounds(viewer, clock):
    kept = Sessions(memory=80 * 60 + 1000, clock=clock)
    app = application(viewer, [], TOKEN, PORT, kept)
    with TestClient(app, base_url=f"{HERE}/{TOKEN}/") as client:
        session = begun(client)
        assert not sent(client, session, PNG)[0]["reason"]
        archive = zipped(*((f"{number}.png", PNG) for number in range(3)))
        (said,) = sent(client, session, archive, "a.zip")  # of which the rest is not read
        assert said["name"] == "a.zip:0.png"
        assert said["reason"].startswith("the radiographs that are shown take all of ")
        client.post(f"sessions/{session}/forget")
        for _ in range(16):
            session = begun(client)
        answer = client.post("sessions")
        assert (answer.status_code, answer.text) == (
            507,
            "16 tabs are open, which is the most: close one",
        )
        assert not sent(client, session, PNG)[0]["reason"]


# --- the card ------------------------------------------------------------------------------------


def test_a_card_is_text_in_known_elements(bundle_folder, tmp_path):
    reader = about.Reader()
    reader.feed(
        "<html><head><title>T</title><style>p {}</style></head><body onload='x()'>"
        "<h1>A &amp; B</h1><script>bad()</script><p class='mark' onclick='x()'>D<b>E</b></p>"
        "<img src=x onerror=y>"
        "<table><tr><th colspan='3'>G</th><td>1<br>2</td></tr></table></p></div>"
    )
    assert reader.nodes == [
        ["h1", {}, ["A & B"]],
        ["p", {"class": "mark"}, ["D", "E"]],
        [
            "table",
            {},
            [["tr", {}, [["th", {"colspan": "3"}, ["G"]], ["td", {}, ["1", ["br", {}, []], "2"]]]]],
        ],
    ]
    assert about.card(bundle_folder, open_bundle(bundle_folder)) == ["a card"]


@pytest.mark.parametrize(
    ("age", "band", "inside"),
    [(40, "40-59", True), (59.9, "40-59", True), (60, "40-59", False), (80, "80+", True),
     (79, "80+", False), (5, "unknown", False)],
)  # fmt: skip
def test_ages_have_their_bands(age, band, inside):
    assert about.in_band(age, band) is inside
