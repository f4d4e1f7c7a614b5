"""The tables of evaluation: how good models are, and how sure that is."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from chexviz.base.errors import InputError
from chexviz.base.tables.models import MODEL
from chexviz.base.tables.table import Column, Table, bounds, flag, note, number, text, whole

if TYPE_CHECKING:
    import pandas as pd


class Heading(NamedTuple):
    """What readers see above a metric's column, and whether they see it in percent."""

    text: str
    percent: bool = False


METRICS: dict[str, Heading] = {  # of Table 1, in its order; evaluation.metrics computes them
    "loss": Heading("Loss"),
    "sensitivity": Heading("Sensitivity (%)", percent=True),
    "specificity": Heading("Specificity (%)", percent=True),
    "aupr": Heading("AUPR"),
    "auroc": Heading("AUROC"),
}
MEASURES = ("energy", "pointing", "iou")  # of how well a map and an annotation agree
RATES = ("sensitivity", "specificity", "ppv", "npv")
LITERAL = "t_test_replicates"  # what the paper's words may mean; anti-conservative
LEVEL = 0.05  # of the tests that the simulation judges
FEW = "of too few cases, which have no intervals"
COUNTS = {"images": whole(), "patients": whole(), "positives": whole()}
INTERVAL = {"value": number(), "low": number(), "high": number()}


def all_bounds(*names: str) -> dict[str, Column]:
    """Several values with their intervals."""
    return {key: column for name in names for key, column in bounds(name).items()}


MODEL_METRICS = Table(
    "metrics.csv",
    "a row for each model; fractions, not percent",
    **MODEL,
    **COUNTS,
    threshold=number(),
    **all_bounds(*METRICS),
    note=note(FEW),
)
COMPARED = [*[*MODEL][:-1], "reference", "reference_head", "seed"]
COMPARISONS = Table(
    "comparisons.csv",
    "a row for each comparison and test, the primary test first ([evaluation.md](evaluation.md))",
    **{name: MODEL[name] for name in [*MODEL][:-1]},
    reference=text("baseline"),
    reference_head=text("the site of that baseline"),
    seed=whole(),
    test=text(f"`bootstrap_patients`, `bootstrap_images`, `delong`, `{LITERAL}`"),
    difference=number("AUROC of method minus reference"),
    low=number(),
    high=number(),
    standard_error=number(),
    statistic=number(),
    p=number(),
    p_holm=number(),
    margin=number(),
    p_non_inferior=number(),
    note=note("of too few cases, which leave the difference alone"),
)
ROC = Table(
    "roc.csv",
    "a row for each point of a model's curve",
    **MODEL,
    fpr=number(),
    tpr=number(),
    low=number(),
    high=number(),
)
SIMULATION = Table(
    "simulation.csv",
    "a row for each paired test: how often it calls equally good models different",
    test=text(),
    replicates=number("empty for DeLong"),
    repetitions=whole("simulated studies of two equally good models"),
    rejected=whole("of them, at the level of 5 %"),
    rate=number(),
    low=number(),
    high=number("95 %, Wilson"),
    expected=number("rate, if differences of AUROC are normal"),
)
COVERAGE = Table(
    "coverage.csv",
    "a row for each kind of interval or test, by the number of cases",
    images=number("of a patient, mean"),
    patients=whole("in each simulated study"),
    positives=whole("patients with the finding"),
    measure=text(
        "auroc, aupr, sensitivity, specificity: their intervals; sensitivity_chosen, "
        "specificity_chosen: the latter two against what the chosen threshold has in other "
        "patients; bootstrap_patients, bootstrap_images, delong: the tests of two equally good "
        "models"
    ),
    repetitions=whole(),
    count=whole("intervals that hold the truth, or tests that call the models different"),
    rate=number(),
    low=number(),
    high=number("95 %, Wilson"),
    nominal=number(),
)
SCALED = MODEL | {"scaling": text("none, temperature")}
CALIBRATION = Table(
    "calibration.csv",
    "a row for each model and scaling",
    **SCALED,
    temperature=number(),
    **COUNTS,
    observed=number("mean label"),
    predicted=number("mean score"),
    **bounds("brier"),
    ece=number(),
    ece_chance=number("to be expected of perfect probabilities"),
    bins=number(),
    **all_bounds("intercept", "slope"),
    note=note("why a number is missing"),
)
RELIABILITY = Table(
    "reliability.csv",
    "a row for each bin of scores of a model",
    **SCALED,
    bin=whole("from 1, by score"),
    images=whole(),
    positives=whole(),
    predicted=number(),
    **bounds("observed"),
    note=note(),
)
DISTRIBUTION = Table(
    "distribution.csv",
    "a row for each bin of scores of equal width",
    **SCALED,
    score=number("low end of a bin 0.05 wide"),
    positives=whole(),
    negatives=whole("images"),
)
OPERATING_POINTS = Table(
    "operating_points.csv",
    "a row for each wanted sensitivity of a model",
    **MODEL,
    target=number("sensitivity"),
    chosen_on=text("validation, evaluation, or other sites: of the same head, see calibration.md"),
    threshold=number(),
    **COUNTS,
    **all_bounds(*RATES),
    note=note(),
)
DECISION = Table(
    "decision.csv",
    "a row for each threshold of a model",
    **SCALED,
    threshold=number("probability"),
    **bounds("net_benefit"),
    all=number("net benefit of treating all"),
    note=note(),
)
ALL, UNKNOWN = "all", "unknown"  # groups of subgroups.csv
# Its errors at the model's threshold, each a share of the images with this label.
ERRORS = {"false negative rate": 1, "false positive rate": 0}
SUBGROUPS = Table(
    "subgroups.csv",
    "a row for each group of images and measure of a model",
    **MODEL | {"seed": number(), "head": note(), "architecture": note(), "method": note()},
    attribute=text("all, view, sex, age, or one of the site's `attributes`"),
    group=text("its value, or unknown"),
    measure=text(
        "auroc; difference: from the reference method in the same group; gap: from the reference "
        "group, the largest one; false negative rate, false positive rate, and a `gap` of each; "
        "tag alone: no model, see [subgroups.md](subgroups.md)"
    ),
    reference=note(
        "baseline, at an external site with the site that it was trained at; or the reference group"
    ),
    **COUNTS,
    prevalence=number(),
    **INTERVAL,
    note=note("why there is no value or no interval"),
)
SHORTCUTS = Table(
    "shortcuts.csv",
    "a row for each model, attribute and measure: what is left of an AUROC without the attribute",
    **MODEL,
    attribute=text("as in subgroups.csv, with at least two groups"),
    tag=note("of an attribute of two groups: the one that is called `with`, as in with a tube"),
    measure=text(
        "all: images whose group is known; matched: pairs of images of one group; all minus "
        "matched; without against all, without, with, and with against without: positive images "
        "of a group against negative ones, see [subgroups.md](subgroups.md)"
    ),
    **COUNTS,
    **INTERVAL,
    verdict=note("what the interval says; empty: there is none"),
    note=note("why there is no interval"),
)
REPRESENTATION = Table(
    "representation.csv",
    "a row for each model and group of images that a linear model tells from its representation",
    site=text("whose images"),
    architecture=text(),
    method=text("untrained: random weights, a control"),
    seed=whole(),
    attribute=text("as in subgroups.csv"),
    group=text("told from all others; of two groups one"),
    **COUNTS,
    **bounds("auroc"),
    **bounds("difference", "from the untrained representation"),
    note=note("why there is no number"),
)
CROSSTASK = Table(
    "crosstask.csv",
    "a row for each head of a model and measure, on the images of `site`",
    **MODEL,
    own=note("finding of the site's own head that this one is compared with; empty: with none"),
    measure=text(
        "threshold; score_q05 to score_q95: quantiles; called: share called positive; auroc; with "
        "the site's own head of `own`: both_observed, both_expected, both_ratio, rank_correlation"
    ),
    labels=note("finding by whose labels, or which images, as `label`"),
    label=number("of these images; empty: of both"),
    images=whole(),
    patients=whole(),
    **INTERVAL,
    note=note(),
)
LOCALISATION = Table(
    "localisation.csv",
    "a row for each model and measure ([localisation.md](localisation.md))",
    **MODEL,
    measure=text(", ".join(MEASURES)),
    images=whole(),
    patients=whole(),
    unannotated=whole("true positives that could not be scored"),
    empty=whole(),
    value=number("mean"),
    low=number(),
    high=number(),
    chance=number(),
    prior=number("empty: all annotated images evaluate"),
    paired_images=number(),
    paired_patients=number("true positives of the baseline too"),
    **bounds("difference", "from the baseline, on those"),
    standard_error=number("of it"),
    p=number(),
    note=note("why an interval and p are missing"),
)
LOCALISATION_IMAGES = Table(
    "localisation_images.csv",
    "a row for each true positive with an annotation",
    **MODEL,
    image=text(),
    patient=text(),
    **{measure: number() for measure in MEASURES},
    area=number("annotated share of the image: what a uniform map scores"),
    **{
        f"prior_{measure}": number("of the mean annotation, see localisation.csv")
        for measure in MEASURES
    },
    empty=flag("the map is all zero"),
)
POSITIVES, TRUE_POSITIVES = "positives", "true positives"  # what chexlocalize.csv averages over
CHEXLOCALIZE = Table(
    "chexlocalize.csv",
    "a row for each model, measure and group of images with the finding "
    "([localisation.md](localisation.md))",
    **MODEL,
    measure=text(
        "iou: its mean is mIoU; pointing: its mean is the hit rate; lung_energy, lung_pointing: "
        "of the lungs in the place of the annotation, where a lung mask is given"
    ),
    over=text(f"{POSITIVES}: all images with the finding; {TRUE_POSITIVES}"),
    threshold=number("of iou: the part of a map's maximum that it begins at"),
    tuned_on=note("where that was chosen: validation, or fixed: in the config"),
    images=whole(),
    patients=whole(),
    unannotated=whole("such images that could not be scored"),
    empty=whole("maps that are all zero"),
    **INTERVAL,
    chance=number("a uniform map"),
    p_chance=number("of the difference from it"),
    paired_images=number(),
    paired_patients=number("that the baseline has too: among its true positives"),
    **bounds("difference", "from the baseline, on those"),
    standard_error=number("of it"),
    p=number(),
    note=note("why an interval and p are missing, and why the threshold is fixed"),
)
CONFUSION = Table(
    "confusion.csv",
    "a row for each model: its evaluation images; a score at the threshold is positive",
    **MODEL,
    threshold=number(),
    true_positives=whole(),
    false_negatives=whole(),
    false_positives=whole(),
    true_negatives=whole(),
    shared_false_negatives=number(
        "those that the baseline of the architecture and seed makes as well; empty: of the baseline"
    ),
    shared_false_positives=number("likewise"),
)
FAILURES = Table(
    "failures.csv",
    "a row for each image of the sheet, of the first method and seed",
    **MODEL,
    kind=text("false positive, false negative"),
    rank=whole("1: the score farthest from the threshold"),
    image=text(),
    score=number(),
    threshold=number(),
    baseline_score=number(),
    view=text(),
    sex=text(),
    age=number(),
)


def read_metrics(path: str | Path) -> "pd.DataFrame":
    """Read metrics.csv: a row for each model, see MODEL. Raises InputError."""
    table = MODEL_METRICS.read(path)
    if table.empty:
        raise InputError(
            path, expected="a row for each model", found="no rows", fix="make the file again"
        )
    return table


def read_comparisons(path: str | Path) -> "pd.DataFrame":
    """Read comparisons.csv: AUROC of a method minus its baseline's, and the primary paired test.

    The primary test of a comparison is the first of its rows.
    """
    return COMPARISONS.read(path).drop_duplicates(COMPARED, ignore_index=True)


def threshold_of(cuts: "pd.Series", *model: str | int) -> float:
    """The threshold of a model, from those of all; their index: MODEL.

    Raises InputError if the metrics have none.
    """
    if model not in cuts.index:
        raise InputError(
            "--metrics",
            expected=f"a row for {' '.join(map(str, model))}",
            found="none",
            fix="make the evaluation of this protocol again",
        )
    return float(cuts[model])
