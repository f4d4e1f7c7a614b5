"""Confusion matrices of all models, and a sheet of the worst errors of one method."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing_all
from chexviz.base.methods import BASELINE
from chexviz.base.tables.evaluation import CONFUSION, FAILURES, read_metrics, threshold_of
from chexviz.base.tables.models import MODEL
from chexviz.base.tables.sites import SAMPLES
from chexviz.reporting.figures import style
from chexviz.reporting.figures.overlay import below, show
from chexviz.reporting.figures.panels import at_any, heading_pages
from chexviz.reporting.figures.site_files import Scores, Site, add_sites, read_scores
from chexviz.reporting.selection import first_seed
from chexviz.reporting.tables.confusion import KINDS, SHARED, called, matrix, worst
from chexviz.reporting.titles import (
    Endpoint,
    add_titles,
    architecture_title,
    curve_title,
    endpoints,
)

FIGURE = {
    "name": "failures",
    "caption": (
        "*Worst errors of the federated models*: false positives with the highest and false "
        "negatives with the lowest scores. #capital(protocol.title)."
    ),
    "alt": "Radiographs that the federated models call wrongly, with their scores",
    "limit": 215,
    "radiographs": True,
    "of": "endpoints",
    "per_page": 3,
    "category": "Evaluation",
    "shows": "worst errors",
    "report": (
        "Where the first method fails, protocol ``{protocol}``: the false positives with the "
        "highest scores and the false negatives with the lowest ones, with the baseline's score "
        "and the tags of the file. The same cases are in ``evaluation/{protocol}/failures.csv``."
    ),
}
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


def call_all(tables: dict[tuple, Scores], cuts: pd.Series) -> dict[tuple, pd.DataFrame]:
    """The rows of each model, as `called` gives them, by MODEL.

    tables: of each architecture, method and seed. cuts: threshold by MODEL.
    """
    return {
        (*endpoint, head, *model): called(rows, threshold_of(cuts, *endpoint, head, *model))
        for endpoint in next(iter(tables.values()))
        for model, scores in tables.items()
        for head, rows in scores[endpoint].items()
    }


def reference(calls: dict[tuple, pd.DataFrame], key: tuple) -> pd.DataFrame | None:
    """The rows of the baseline that a model is compared with; None of a baseline itself.

    That of its site or, if the site is external, of the site whose head it is: None of other heads.
    """
    site, finding, head, architecture, method, seed = key
    if method == BASELINE:
        return None
    baselines = [(site, finding, one, architecture, BASELINE, seed) for one in (site, head)]
    return next((calls[one] for one in baselines if one in calls), None)


def matrices_of(calls: dict[tuple, pd.DataFrame], cuts: pd.Series) -> pd.DataFrame:
    """The confusion matrices of all models (see CONFUSION)."""
    rows = [
        named(key, cuts) | matrix(called_rows, reference(calls, key))
        for key, called_rows in calls.items()
    ]
    return pd.DataFrame(rows).astype(dict.fromkeys(SHARED, "Int64"))


def named(key: tuple, cuts: pd.Series) -> dict[str, object]:
    """MODEL and the threshold of a model."""
    return dict(zip(MODEL, key, strict=True)) | {"threshold": threshold_of(cuts, *key)}


def errors_of(
    shown: pd.DataFrame, calls: dict[tuple, pd.DataFrame], sites: dict[str, Site]
) -> pd.DataFrame:
    """The worst errors of models (see FAILURES). shown: their matrices. sites: files of each."""
    parts = []
    for model in shown[[*MODEL, "threshold"]].to_dict("records"):
        key = tuple(model[name] for name in MODEL)
        samples = sites[model["site"]].samples
        parts.append(described(calls[key], reference(calls, key), samples).assign(**model))
    return pd.concat(parts, ignore_index=True)[FAILURES.names]


def described(rows: pd.DataFrame, baseline: pd.DataFrame, samples: str) -> pd.DataFrame:
    """The worst errors of a model, with the baseline's score and the tags of each image."""
    tags = SAMPLES.read(samples, "image", *TAGS).set_index("image")[TAGS]
    other = baseline.set_index("image")["score"].rename("baseline_score")
    chosen = {kind: worst(rows, kind, EACH)[["image", "score"]] for kind in KINDS}
    table = pd.concat(
        one.assign(kind=kind, rank=range(1, len(one) + 1)) for kind, one in chosen.items()
    )
    return table.join(other, on="image").join(tags, on="image")


def draw(
    sites: dict[str, Site],
    titles: dict[Endpoint, str],
    matrices: pd.DataFrame,
    errors: pd.DataFrame,
    note: str,
) -> Figure:
    """A page: a row an endpoint and architecture, false positives left and false negatives right.

    titles: headings of its endpoints. matrices: of the models that are shown.
    """
    models = at_any(matrices, titles).to_dict("records")
    tall = HEAD + PANEL + BELOW + AFTER
    figure = style.new_figure(style.DOUBLE_COLUMN, TOP + len(models) * tall + NOTES)
    for position, model in enumerate(models):
        own = errors[(errors[[*MODEL]] == [model[name] for name in MODEL]).all(axis=1)]
        y = TOP + position * tall
        draw_model(figure, y, titles, model, own, sites[model["site"]])
    width, height = style.size_mm(figure)
    for line, text in enumerate((NOTES_TEXT[0], f"{NOTES_TEXT[1]} {note}".strip())):
        y = height - NOTES + 3 + 3.2 * line
        written = style.text_at(figure, EDGE, y, text, fontsize=6.5, color=style.GREY)
        style.shrink_to_fit(written, width - 2 * EDGE, smallest=6)
    return figure


def draw_model(
    figure: Figure,
    y: float,
    titles: dict[Endpoint, str],
    model: dict,
    errors: pd.DataFrame,
    site: Site,
) -> None:
    """The row of a model, whose matrix it is: its title, and its worst errors of both kinds."""
    title = (
        f"{titles[model['site'], model['finding']]}, {architecture_title(model['architecture'])}"
    )
    look = {"fontsize": 7.5, "fontweight": "bold", "va": "baseline"}
    style.text_at(figure, EDGE, y + 3, f"{title}, {curve_title(model['method'])}", **look)
    for side, kind in enumerate(KINDS):
        x = EDGE + side * (EACH * PANEL + (EACH - 1) * GAP + WIDE_GAP)
        cases = errors[errors["kind"] == kind]
        count = model[f"{kind.replace(' ', '_')}s"]
        among = f"{len(cases)} of {count:,}" if count else "none"
        text = f"{kind.capitalize()}s: {among}"
        look = {"fontsize": 6.5, "color": style.GREY, "va": "baseline"}
        style.text_at(figure, x, y + 7, text, **look)
        draw_cases(figure, x, y + HEAD, cases, site)


def draw_cases(figure: Figure, x: float, y: float, cases: pd.DataFrame, site: Site) -> None:
    """The radiographs of one kind of error, side by side."""
    if cases.empty:
        return
    radiographs = site.radiographs(cases["image"].tolist())
    annotations = site.outlines(cases["finding"].iloc[0])
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
    sites = {site[0]: Site(*site) for site in arguments.site}
    cuts = read_metrics(arguments.metrics).set_index([*MODEL])["threshold"]
    tables = {
        (architecture, method, int(seed)): read_scores(file, arguments.titles)
        for architecture, method, seed, file in arguments.prediction
    }
    calls = call_all(tables, cuts)
    matrices = matrices_of(calls, cuts)
    chosen = matrices[matrices["method"] == arguments.method]
    chosen = at_any(chosen[chosen["seed"] == chosen["seed"].iloc[0]], endpoints(arguments.titles))
    errors, note = errors_of(chosen, calls, sites), first_seed(matrices["seed"])
    shown = heading_pages(arguments.titles, FIGURE)
    figures = (draw(sites, titles, chosen, errors, note) for titles in shown)
    outputs = {"confusion": arguments.confusion, "failures": arguments.failures}
    with replacing_all(outputs) as temporaries:
        CONFUSION.write(matrices, temporaries["confusion"])
        FAILURES.write(errors, temporaries["failures"])
    style.save_pages(figures, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
