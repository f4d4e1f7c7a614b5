"""Compare two models on the same images: metrics with intervals, and four paired tests of AUROC.

Takes the tables of predictions of the two, whoever made them.
"""

from pathlib import Path

import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing
from chexviz.base.methods import BASELINE
from chexviz.base.options import SEED, fraction, whole
from chexviz.base.tables.evaluation import COMPARED, METRICS
from chexviz.evaluation.evaluate import evaluate
from chexviz.evaluation.over_seeds import INTERVAL, over_seeds
from chexviz.evaluation.predictions import Model, read_foreign_predictions
from chexviz.evaluation.resamples import Bootstrap, Resampling, Unit
from chexviz.reporting.tables.cells import cell
from chexviz.reporting.tables.tests import HEAD, test_cells, verdict
from chexviz.reporting.titles import metric_title

MODEL = "model"
SITE, FINDING = "predictions", "the finding"  # what messages say


def read_pair(files: list[str]) -> list[Model]:
    """The baseline and the model. Raises InputError where one file alone names patients."""
    tables = [read_foreign_predictions(file) for file in files]
    named = [not table["patient"].equals(table["image"]) for table in tables]
    if named[0] != named[1]:
        raise InputError(
            files[named.index(False)],
            expected=f"a column patient, as in {files[named.index(True)]}",
            found="none, or every image as a patient of its own",
            fix="name the patients in both files, or in neither",
        )
    return [
        Model(SITE, FINDING, SITE, "", name, 0, file, table)
        for name, file, table in zip((BASELINE, MODEL), files, tables, strict=True)
    ]


def compare(
    models: list[Model], settings: Resampling, margin: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Metrics of both models (a row each) and the paired tests (a row each), the primary first.

    Where no patient has two images, tests over patients and over images are one: the latter.
    """
    tables = evaluate(models, settings, margin)
    metrics = tables["metrics"].drop(columns=["site", "finding", "head", "architecture", "seed"])
    metrics = metrics.rename(columns={"method": "model"})
    metrics.insert(1, "file", [model.file for model in models])
    tests = tables["comparisons"].drop(columns=[*COMPARED, "p_holm"])
    if not several_images(models):
        tests = tests[tests["test"] != "bootstrap_patients"].reset_index(drop=True)
    return metrics, tests.assign(verdict=[verdict(row) for _, row in tests.iterrows()])


def several_images(models: list[Model]) -> bool:
    """Whether a patient has more than one image that evaluates."""
    table = models[0].table
    return bool(table.loc[table["subset"] == "evaluation", "patient"].duplicated().any())


def independent(model: Model, unit: str) -> str:
    """What the primary test takes for independent of each other, and why."""
    if model.table["patient"].equals(model.table["image"]):
        return "independent images: no column `patient` says who is on them"
    if not several_images([model]):
        return "independent images: every patient has one"
    if unit == "image":
        return "independent images, although patients have several (--unit image)"
    return "independent patients, who have several images"


def describe(metrics: pd.DataFrame, tests: pd.DataFrame, settings: Bootstrap, assumed: str) -> str:
    """Both tables as a reader of a terminal sees them. assumed: see `independent`."""
    first = metrics.iloc[0]
    patients = f" of {first['patients']:,} patients" * int(first["patients"] < first["images"])
    lines = [f"{row.model:9}{row.file}" for row in metrics.itertuples()]
    lines += [
        f"{'data':9}{first['images']:,} images{patients}, {first['positives']:,} with {FINDING}",
        f"{'brackets':9}95 % intervals from {settings.replicates:,} resamples of {settings.unit}s",
        f"{'assumed':9}{assumed}",
        *[f"{'note':9}{first['note']}, for an interval or a test"] * bool(first["note"]),
        "",
    ]
    shown = {"": list(metrics["model"])}
    for metric in METRICS:
        columns = [metric, f"{metric}_low", f"{metric}_high"]
        rows = [over_seeds(metric, metrics.loc[[index], columns]) for index in metrics.index]
        shown[metric_title(metric)] = [
            cell(row | {"uncertainty": INTERVAL}, metric) for row in rows
        ]
    shown["Threshold"] = [f"{value:.4g}" for value in metrics["threshold"]]
    lines += aligned([[name, *values] for name, values in shown.items()])
    lines += ["", "AUROC of the model minus that of the baseline:"]
    rows = tests.rename(columns={"low": "difference_low", "high": "difference_high"})
    rows = rows.assign(primary=tests.index == 0, uncertainty=INTERVAL, p_holm=float("nan"))
    cells = [[*HEAD], *(test_cells(row) for _, row in rows.iterrows())]
    cells[0][-1] += f" (margin {tests['margin'].iloc[0]:g})"
    # There is one comparison, and nothing to correct.
    holm = HEAD.index("p (Holm)")
    lines += aligned([row[:holm] + row[holm + 1 :] for row in cells])
    return "\n".join(lines)


def aligned(rows: list[list[str]]) -> list[str]:
    """Rows of text as lines with columns of equal width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def write(tables: list[pd.DataFrame], paths: list[Path | None]) -> None:
    for table, path in zip(tables, paths, strict=True):
        if path:
            with replacing(path) as temporary:
                table.to_csv(temporary, index=False, lineterminator="\n")


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.epilog = (
        "A table is a CSV file with the columns image (an id), label (0 or 1) and score (a "
        "probability), and may have patient and subset (validation or evaluation)."
    )
    parser.add_argument("baseline", metavar="BASELINE.csv", help="predictions of one model")
    parser.add_argument("model", metavar="MODEL.csv", help="predictions of the other one")
    parser.add_argument(
        "--unit",
        choices=("patient", "image"),
        help="what the primary test draws (patient, where one has several images)",
    )
    parser.add_argument(
        "--replicates", type=whole(2, 10**6), default=2000, help="resamples (%(default)s)"
    )
    parser.add_argument(
        "--margin",
        type=fraction,
        default=0.05,
        help="loss of AUROC that non-inferiority excludes (%(default)s)",
    )
    parser.add_argument(
        "--seed", type=whole(0, SEED), default=2022, help="of the resamples (%(default)s)"
    )
    parser.add_argument(
        "--minimum-cases",
        type=whole(5, 10**6),
        default=20,
        help="positive and negative patients (or images), of each, for an interval or p "
        "(%(default)s)",
    )
    parser.add_argument(
        "--metrics", type=Path, metavar="OUT.csv", help="write both models' metrics"
    )
    parser.add_argument("--tests", type=Path, metavar="OUT.csv", help="write the paired tests")
    arguments = parser.parse_args(argv)

    models = read_pair([arguments.baseline, arguments.model])
    unit: Unit = arguments.unit or ("patient" if several_images(models) else "image")
    bootstrap = Bootstrap(
        replicates=arguments.replicates, unit=unit, confidence=0.95, seed=arguments.seed
    )
    settings = Resampling(bootstrap=bootstrap, minimum_cases=arguments.minimum_cases)
    metrics, tests = compare(models, settings, arguments.margin)
    write([metrics, tests], [arguments.metrics, arguments.tests])
    print(describe(metrics, tests, bootstrap, independent(models[0], unit)))


if __name__ == "__main__":
    run(main)
