"""The tables of an evaluation as a site may share them: nothing that rests on a few patients.

A rate tells a count (sensitivity times positives), and so does an AUROC (of pairs of images), so
each number is shown only if all counts that could be computed from it are large enough. Counts are
rounded down to multiples of the limit, so that differences between them tell nothing small either.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from chexviz.base.tables.evaluation import CALIBRATION, COMPARISONS, COUNTS, MODEL_METRICS, SCALED
from chexviz.base.tables.models import MODEL
from chexviz.evaluation.predictions import Model, Name

DIGITS = 3  # after the point: as many as readers are shown
HIDDEN = "what rests on fewer than {} patients or pairs of images is not shown"
NAME, COUNT, CASES, OUTCOMES, PAIRS, NOTE = "name", "count", "cases", "outcomes", "pairs", "note"


def bounded(*values: str) -> list[str]:
    """The columns of values and of their intervals."""
    return [f"{value}{end}" for value in values for end in ("", "_low", "_high")]


def declared(roles: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """The role of each column, from the columns of each role."""
    return {column: role for role, columns in roles.items() for column in columns}


# What may be shared, and what each of its columns rests on (see Support); a column that is not here
# is refused. All other tables have rows of few images, or of one.
ROLES = {
    "metrics": declared(
        {
            NAME: MODEL,
            COUNT: COUNTS,
            CASES: bounded("loss"),
            OUTCOMES: ["threshold", *bounded("sensitivity", "specificity")],
            PAIRS: bounded("aupr", "auroc"),
            NOTE: ["note"],
        }
    ),
    "comparisons": declared(
        {
            NAME: [*MODEL, "reference", "reference_head", "test", "margin"],
            PAIRS: [
                *("difference", "low", "high", "standard_error", "statistic"),
                *("p", "p_holm", "p_non_inferior"),
            ],
            NOTE: ["note"],
        }
    ),
    "calibration": declared(
        {
            NAME: SCALED,
            COUNT: COUNTS,
            CASES: [
                *("temperature", "observed", "predicted", "ece", "ece_chance", "bins"),
                *bounded("brier", "intercept", "slope"),
            ],
            NOTE: ["note"],
        }
    ),
}
TABLES = {"metrics": MODEL_METRICS, "comparisons": COMPARISONS, "calibration": CALIBRATION}


class Support(NamedTuple):
    """The smallest of the numbers that could be computed from what is told of a model.

    cases: patients with a positive image, and with a negative one. outcomes: patients with an image
    of either class that is called so, or is not. pairs: of a positive and a negative image, that
    are in the right order, or in the wrong one (of a tie, half a pair each).
    """

    cases: int
    outcomes: int
    pairs: float


def support(model: Model, threshold: float, auroc: float) -> Support:
    """What rests on how many; threshold, auroc: of the model, from its row of metrics.csv."""
    rows = model.evaluated
    positive, called = rows["label"] == 1, rows["score"] >= threshold

    def patients(chosen: pd.Series) -> int:
        return rows.loc[chosen, "patient"].nunique()

    pairs = int(positive.sum() * (~positive).sum())
    right = round(2 * auroc * pairs) / 2
    return Support(
        min(patients(one) for one in (positive, ~positive)),
        min(patients(one & two) for one in (positive, ~positive) for two in (called, ~called)),
        min(right, pairs - right),
    )


class Limit:
    """What of each model is large enough to be told. smallest: the smallest number; 1: all is told.

    models: that are evaluated. metrics: metrics.csv, with a row for each of them.
    """

    def __init__(self, models: Sequence[Model], metrics: pd.DataFrame, smallest: int):
        self.smallest = smallest
        found = metrics.set_index([*MODEL])
        self.support = {
            model.name: support(model, *found.loc[model.name, ["threshold", "auroc"]])
            for model in models
        }

    def hides(self, name: Name, role: str) -> bool:
        """Whether columns of a role are too telling of a model."""
        support = self.support[name]
        found = {CASES: support.cases, OUTCOMES: support.outcomes, PAIRS: support.pairs}[role]
        return self.smallest > 1 and found < self.smallest


def share(
    tables: Mapping[str, pd.DataFrame], models: Sequence[Model], smallest: int
) -> dict[str, pd.DataFrame]:
    """The tables of ROLES as they may leave the site, each still a table of its kind.

    tables: by their names; metrics is one of them. models: all that they are about. smallest: the
    smallest number of patients that may be told of; 1 hides nothing. A row of which little more
    than the name would be left is left out. Raises ValueError for a table or a column that has no
    role.
    """
    for name, table in tables.items():
        if name not in ROLES:
            raise ValueError(f"{name} may not be shared; {', '.join(ROLES)} may")
        if [*table] != TABLES[name].names or {*table} != {*ROLES[name]}:
            raise ValueError(f"{name} has {[*ROLES[name]]}; found {[*table]}")
    limit = Limit(models, tables["metrics"], smallest)
    return {name: told(table, ROLES[name], limit) for name, table in tables.items()}


def told(table: pd.DataFrame, roles: Mapping[str, str], limit: Limit) -> pd.DataFrame:
    """One table; see `share`."""
    columns = {role: [name for name in table if roles[name] == role] for role in {*roles.values()}}
    measured = [role for role in (CASES, OUTCOMES, PAIRS) if role in columns]
    rows = []
    for _, row in table.iterrows():
        names = models_of(row)
        hidden = [role for role in measured if any(limit.hides(name, role) for name in names)]
        if CASES not in hidden and hidden != measured:
            gone = {name: float("nan") for role in hidden for name in columns[role]}
            parts = [brief(row["note"]), HIDDEN.format(limit.smallest) * bool(hidden)]
            rows.append({**row, **gone, "note": "; ".join(filter(None, parts))})
    found = pd.DataFrame(rows, columns=table.columns).astype(table.dtypes)
    for name in columns.get(COUNT, []):
        found[name] = found[name] // limit.smallest * limit.smallest
    return found.round({name: DIGITS for role in measured for name in columns[role]})


def models_of(row: pd.Series) -> list[Name]:
    """The model of a row, and its reference where the row compares it with one."""
    models = [{**row}]
    if "reference" in row:
        models.append({**row, "method": row["reference"], "head": row["reference_head"]})
    return [tuple(model[column] for column in MODEL) for model in models]


def brief(note: str) -> str:
    """What a note says before its details, which are numbers of patients."""
    start = note.partition(":")[0]
    return "" if any(letter.isdigit() for letter in start) else start
