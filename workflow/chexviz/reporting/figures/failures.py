"""Confusion matrices of all models, and a sheet of the worst errors of one method."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing_all
from chexviz.base.methods import BASELINE
from chexviz.base.tables.evaluation import CONFUSION, FAILURES, read_metrics, threshold_of
from chexviz.base.tables.models import PREDICTIONS, UNTASKED
from chexviz.base.tables.sites import SAMPLES
from chexviz.reporting.figures import style
from chexviz.reporting.figures.overlay import below, show
from chexviz.reporting.figures.site_files import Site, add_sites
from chexviz.reporting.selection import first_seed
from chexviz.reporting.tables.confusion import KINDS, SHARED, called, matrix, worst
from chexviz.reporting.titles import add_titles, architecture_title, curve_title, group_titles

FIGURE = {
    "name": "failures",
    "caption": (
        "*Worst errors of the federated models*: false positives with the highest and false "
        "negatives with the lowest scores. #capital(protocol.title)."
    ),
    "alt": "Radiographs that the federated models call wrongly, with their scores",
    "limit": 215,
    "category": "Evaluation",
    "shows": "worst errors",
    "report": (
        "Where the first method fails, protocol ``{protocol}``: the false positives with the "
        "highest scores and the false negatives with the lowest ones, with the baseline's score "
        "and the tags of the file. The same cases are in ``evaluation/{protocol}/failures.csv``."
    ),
}
MODEL = [*UNTASKED]
TAGS = ["view", "sex", "age"]
EACH = 6  # errors of a kind that are shown of a model
# mm on the printed page
EDGE, GAP, WIDE_GAP, TOP, HEAD, BELOW, AFTER, NOTES = 2.0, 1.0, 4.0, 2.0, 8.2, 6.6, 2.5, 8.0
PANEL = (style.DOUBLE_COLUMN - 2 * EDGE - WIDE_GAP - 2 * (EACH - 1) * GAP) / (2 * EACH)
NOTES_TEXT = (
    "By rule: the evaluation images on which the model is wrong and its score is farthest from the "
    "threshold. Blue outline: annotation.",
    "Below each image: score, in brackets that of the baseline; view, sex and age (–: unknown).",
)


def judge(
    sites: list[Site], predictions: list[list[str]], cuts: pd.Series, method: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The confusion matrices of all models, and the worst errors of `method` with its first seed.

    predictions: ARCHITECTURE METHOD SEED FILE. cuts: threshold by MODEL.
    """
    columns = ("site", "image", "label", "subset", "score")
    tables = {
        (architecture, name, int(seed)): PREDICTIONS.read(file, *columns)
        for architecture, name, seed, file in predictions
    }
    first = next(seed for _, name, seed in tables if name == method)
    matrices, errors = [], []
    for site in sites:
        own = {
            key: called(table[table["site"] == site.name], threshold_of(cuts, site.name, *key))
            for key, table in tables.items()
        }
        for (architecture, name, seed), rows in own.items():
            key = (site.name, architecture, name, seed)
            about: dict[str, object] = dict(zip(MODEL, key, strict=True))
            about["threshold"] = threshold_of(cuts, *key)
            baseline = own[architecture, BASELINE, seed]
            matrices.append(about | matrix(rows, None if name == BASELINE else baseline))
            if (name, seed) == (method, first):
                errors.append(described(rows, baseline, site).assign(**about))
    table = pd.DataFrame(matrices).astype(dict.fromkeys(SHARED, "Int64"))
    return table, pd.concat(errors, ignore_index=True)[FAILURES.names]


def described(rows: pd.DataFrame, baseline: pd.DataFrame, site: Site) -> pd.DataFrame:
    """The worst errors of a model, with the baseline's score and the tags of each image."""
    tags = SAMPLES.read(site.samples, "image", *TAGS).set_index("image")[TAGS]
    other = baseline.set_index("image")["score"].rename("baseline_score")
    chosen = {kind: worst(rows, kind, EACH)[["image", "score"]] for kind in KINDS}
    table = pd.concat(
        one.assign(kind=kind, rank=range(1, len(one) + 1)) for kind, one in chosen.items()
    )
    return table.join(other, on="image").join(tags, on="image")


def draw(
    sites: list[Site],
    named: list[dict],
    matrices: pd.DataFrame,
    errors: pd.DataFrame,
    method: str,
    note: str,
) -> Figure:
    """The sheet: a row a site and architecture, false positives left and false negatives right.

    named: see titles. matrices: of the models that are shown.
    """
    titles = group_titles(matrices, named)
    files = {site.name: site for site in sites}
    tall = HEAD + PANEL + BELOW + AFTER
    figure = style.new_figure(style.DOUBLE_COLUMN, TOP + len(matrices) * tall + NOTES)
    for position, model in enumerate(matrices.to_dict("records")):
        y = TOP + position * tall
        title = f"{titles[model['site']]}, {architecture_title(model['architecture'])}"
        look = {"fontsize": 7.5, "fontweight": "bold", "va": "baseline"}
        style.text_at(figure, EDGE, y + 3, f"{title}, {curve_title(method)}", **look)
        own = errors[(errors[MODEL] == [model[name] for name in MODEL]).all(axis=1)]
        for side, kind in enumerate(KINDS):
            x = EDGE + side * (EACH * PANEL + (EACH - 1) * GAP + WIDE_GAP)
            cases = own[own["kind"] == kind]
            count = model[f"{kind.replace(' ', '_')}s"]
            among = f"{len(cases)} of {count:,}" if count else "none"
            text = f"{kind.capitalize()}s: {among}"
            look = {"fontsize": 6.5, "color": style.GREY, "va": "baseline"}
            style.text_at(figure, x, y + 7, text, **look)
            draw_cases(figure, x, y + HEAD, cases, files[model["site"]])
    width, height = style.size_mm(figure)
    for line, text in enumerate((NOTES_TEXT[0], f"{NOTES_TEXT[1]} {note}".strip())):
        y = height - NOTES + 3 + 3.2 * line
        written = style.text_at(figure, EDGE, y, text, fontsize=6.5, color=style.GREY)
        style.shrink_to_fit(written, width - 2 * EDGE, smallest=6)
    return figure


def draw_cases(figure: Figure, x: float, y: float, cases: pd.DataFrame, site: Site) -> None:
    """The radiographs of one kind of error, side by side."""
    if cases.empty:
        return
    radiographs, annotations = site.radiographs(cases["image"].tolist()), site.outlines()
    for position, case in enumerate(cases.to_dict("records")):
        axes = style.axes_at(figure, x + position * (PANEL + GAP), y, PANEL, PANEL)
        axes.axis("off")
        grey = radiographs[position][..., None].repeat(3, axis=-1) / 255
        show(axes, grey, annotations[annotations["image"] == case["image"]], linewidth=0.7)
        below(axes, f"{numbers(case)}\n{tags(case)}", fontsize=6)


def numbers(case: dict) -> str:
    """'0.91 (0.88)': the score of the model, and that of the baseline."""
    return f"{case['score']:.2f} ({case['baseline_score']:.2f})"


def tags(case: dict) -> str:
    """'AP · F · 61'."""
    age = "–" if pd.isna(case["age"]) else f"{case['age']:.0f}"
    return " · ".join([*("–" if pd.isna(case[tag]) else case[tag] for tag in TAGS[:2]), age])


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_sites(parser)
    parser.add_argument(
        "--prediction",
        action="append",
        nargs=4,
        required=True,
        metavar=("ARCHITECTURE", "METHOD", "SEED", "PREDICTIONS"),
    )
    parser.add_argument("--metrics", required=True, type=Path, help="holds the thresholds")
    parser.add_argument("--method", required=True, help="whose errors are shown")
    add_titles(parser)
    parser.add_argument("--mark", default="", help="a text that the figure shows")
    parser.add_argument("--confusion", required=True, type=Path, help="output, a row a model")
    parser.add_argument("--failures", required=True, type=Path, help="output, a row an error shown")
    parser.add_argument("--pdf", required=True, type=Path)
    parser.add_argument("--png", required=True, type=Path)
    arguments = parser.parse_args(argv)
    sites = [Site(*site) for site in arguments.site]
    cuts = read_metrics(arguments.metrics).set_index(MODEL)["threshold"]
    matrices, errors = judge(sites, arguments.prediction, cuts, arguments.method)
    first = matrices["seed"] == matrices["seed"].iloc[0]
    chosen = matrices[first & (matrices["method"] == arguments.method)]
    note = first_seed(matrices["seed"])
    figure = draw(sites, arguments.titles, chosen, errors, arguments.method, note)
    outputs = {"confusion": arguments.confusion, "failures": arguments.failures}
    with replacing_all(outputs) as temporaries:
        CONFUSION.write(matrices, temporaries["confusion"])
        FAILURES.write(errors, temporaries["failures"])
    style.save(figure, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
