"""Figure 1: it fits any number of sites and findings, and draws external sites apart."""

import re

import matplotlib.text
import pytest

from chexviz.reporting.figures import framework, style
from drawings import texts

MANY = ["atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia"]
MANY += ["pneumothorax", "consolidation", "edema", "emphysema", "fibrosis", "hernia"]
MANY += ["pleural_thickening"]


def hospitals(count: int, findings: list[str], role="train") -> list[dict]:
    return [
        {"name": f"h{number}", "title": f"Regional Hospital {number}"}
        | {"role": role, "findings": findings}
        for number in range(count)
    ]


def require_apart(figure) -> list:
    """The boxes of all texts, which lie on the page and do not overlap."""
    renderer = figure.canvas.get_renderer()
    boxes = [
        text.get_window_extent(renderer)
        for text in figure.findobj(matplotlib.text.Text)
        if text.get_text().strip() and text.get_visible()
    ]
    page = figure.bbox
    for box in boxes:
        assert page.x0 <= box.x0 < box.x1 <= page.x1
        assert page.y0 <= box.y0 < box.y1 <= page.y1
    inner = [box.padded(-1.5) for box in boxes]
    overlapping = [(a, b) for i, a in enumerate(inner) for b in inner[:i] if a.overlaps(b)]
    assert overlapping == []
    return boxes


@pytest.mark.parametrize("count", [2, 3, 5])
def test_figure1_fits_every_number_of_sites(count):
    figure = framework.draw(hospitals(count, ["pleural_effusion"]))
    assert style.size_mm(figure)[0] == pytest.approx(180)
    assert len(require_apart(figure)) > 4 * count
    style.plt.close(figure)


def test_figure1_tells_the_findings_of_sites_as_far_as_they_fit():
    figure = framework.draw(hospitals(2, ["edema", "mass"]))
    assert texts(figure).count("Edema, mass") == 4  # card and task block of both
    style.plt.close(figure)
    figure = framework.draw(hospitals(2, MANY))
    assert texts(figure).count("14 findings") == 4
    require_apart(figure)
    style.plt.close(figure)


def test_figure1_of_many_sites_draws_five_and_says_how_many_more():
    figure = framework.draw(hospitals(8, ["edema"]))
    shown = texts(figure)
    assert sum(text.startswith("Regional Hospital") for text in shown) == 5
    assert "3 more sites" in shown
    require_apart(figure)
    style.plt.close(figure)


@pytest.mark.parametrize(("count", "lines"), [(1, 1), (3, 3), (5, 2)])
def test_figure1_draws_external_sites_apart(count, lines):
    """They have no card and no task block: they train nothing."""
    sites = [*hospitals(2, ["edema"]), *hospitals(count, MANY, "external")]
    figure = framework.draw(sites)
    shown = texts(figure)
    assert "External, evaluation only" in shown
    assert sum(text.endswith(": 14 findings") for text in shown) == min(count, 3)
    assert ("3 more sites: 14 findings" in shown) == (count == 5)
    assert sum(text.startswith("Regional Hospital") for text in shown) == 2 + lines
    assert shown.count("private images") == 2
    require_apart(figure)
    style.plt.close(figure)


def test_figure1_of_shared_heads_has_a_task_block_for_each_finding():
    figure = framework.draw(hospitals(3, MANY[:3]), "shared")
    assert {"Atelectasis", "Cardiomegaly", "Effusion"} <= set(texts(figure))
    assert framework.TASK_BLOCK["shared"] in texts(figure)
    style.plt.close(figure)
    figure = framework.draw(hospitals(3, MANY), "shared")
    assert "9 more findings" in texts(figure)
    require_apart(figure)
    style.plt.close(figure)


@pytest.mark.parametrize(
    ("titles", "said"),
    [
        ('[{"name": "x"}]', r"--titles: \[0\].*missing required field title"),
        ("[]", "--titles: expected at least one site"),
        (
            '[{"name": "x", "title": "X", "role": "train", "findings": "edema"}]',
            r"\[0\]\.findings.*expected: array.*found: +str",
        ),
    ],
)
def test_figure1_needs_titles_and_findings(tmp_path, capsys, titles, said):
    outputs = [f"--{kind}={tmp_path / f'a.{kind}'}" for kind in ("pdf", "png")]
    with pytest.raises(SystemExit):
        framework.main(["--titles", titles, *outputs])
    assert re.search(said, capsys.readouterr().err, re.DOTALL)
    assert list(tmp_path.iterdir()) == []
