"""The AUROC under the protocol `paper` minus that under `patient`: what leakage adds, and more."""

from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.tables.evaluation import read_metrics
from chexviz.base.tables.models import MODEL
from chexviz.base.tables.study import SPLIT
from chexviz.base.tables.summaries import INFLATION
from chexviz.evaluation.cases import TOO_FEW, first_note
from chexviz.evaluation.over_seeds import INTERVAL, bounds, over_seeds, uncertainty
from chexviz.reporting.selection import ENDPOINT, in_order, of_endpoints
from chexviz.reporting.tables.cells import cell, few_note, signed_cell
from chexviz.reporting.tables.outputs import add_outputs, write
from chexviz.reporting.tables.typesetting import Layout
from chexviz.reporting.titles import add_titles, endpoints, group_titles, model_title
from chexviz.reporting.wording import NAMED, fixed, tally

KEYS = [*MODEL]
PROTOCOLS = ("paper", "patient")
TRAINING = [f"training_{protocol}" for protocol in PROTOCOLS]
AUROC = ["auroc", "auroc_low", "auroc_high"]
CONFIDENCE = 0.95
HIGHER, LOWER, UNCLEAR = "higher", "lower", "not told apart"


def unpaired(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, ...]:
    """The difference of two estimates and its interval, from the interval of each.

    first, second: value, lower and upper bound (3, ...). Each bound of the difference is as far
    from it as the two intervals reach in that direction, added as variances are: the method of
    variance estimates recovery (Zou and Donner, Statistics in Medicine 2008), which keeps
    asymmetric intervals asymmetric. It takes the estimates for independent. Those of two protocols
    share images of one dataset, which correlates them positively: the interval is then too wide
    rather than too narrow. Returns difference, low and high, each (...).
    """
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    difference = a - b
    low = difference - np.hypot(a - a_low, b_high - b)
    return difference, low, difference + np.hypot(a_high - a, b - b_low)


def compare(
    paper: pd.DataFrame,
    patient: pd.DataFrame,
    training: dict[str, pd.Series],
    sites: list[dict],
) -> pd.DataFrame:
    """A row for each endpoint of a site that trains, architecture and method: both AUROCs and the
    inflation, as in INFLATION.

    paper, patient: metrics.csv of the protocols. training: images that train, by protocol and site.
    sites: see titles.
    Of several seeds: mean and standard deviation of each, and the interval of the inflation that is
    expected over trainings. verdict: of that interval. Raises ValueError unless both hold the same
    models.
    """
    paper, patient = (of_endpoints(one, endpoints(sites)) for one in (paper, patient))
    columns = [*KEYS, *AUROC, "note"]
    suffixes = ("_paper", "_patient")
    both = paper[columns].merge(
        patient[columns], on=KEYS, how="outer", suffixes=suffixes, indicator=True
    )
    single = both[both["_merge"] != "both"]
    if len(single):
        raise ValueError(" ".join(map(str, single.iloc[0][KEYS])) + " is under one protocol only")
    titles = group_titles(paper, sites)
    keys = [*ENDPOINT, "architecture", "method"]
    models = dict(tuple(both.sort_values("seed").groupby(keys)))
    return pd.DataFrame(
        [
            summarise(models[*endpoint, architecture, method], title)
            | {f"training_{name}": int(training[name][endpoint[0]]) for name in PROTOCOLS}
            for endpoint, title in titles.items()
            for architecture in in_order(paper["architecture"])
            for method in in_order(paper["method"])
        ]
    )


def summarise(runs: pd.DataFrame, title: str) -> dict:
    """The row of one model; runs: its rows of both protocols, one a seed."""
    first = runs.iloc[0]
    paper, patient = (
        runs[[f"{name}_{protocol}" for name in AUROC]] for protocol in ("paper", "patient")
    )
    inflation = np.transpose(unpaired(paper.to_numpy().T, patient.to_numpy().T))
    low, high = bounds(inflation, CONFIDENCE)
    note = first_note(pd.concat([runs["note_paper"], runs["note_patient"]]))
    return {
        **{"group": title, "finding": first["finding"], "site": first["site"]},
        "model": model_title(first["architecture"], first["method"]),
        **{"architecture": first["architecture"], "method": first["method"]},
        **{"seeds": len(runs), "uncertainty": uncertainty(len(runs))},
        **over_seeds("auroc_paper", paper),
        **over_seeds("auroc_patient", patient),
        **over_seeds("inflation", pd.DataFrame(inflation)),
        **{"inflation_low": low, "inflation_high": high},
        **{"verdict": verdict(low, high, note), "note": note},
    }


def verdict(low: float, high: float, note: str) -> str:
    """What the interval of an inflation says; 'too few' cases, as the note tells."""
    if note:
        return TOO_FEW
    if low > 0:
        return HIGHER
    return LOWER if high < 0 else UNCLEAR


def words(table: pd.DataFrame, patient: str) -> str:
    """What the differences say: no leakage of a negative number, nor of an interval that holds 0.

    table: with the columns site, inflation, verdict, and `group`, TRAINING. patient: what the text
    calls the protocol of that name.
    """
    found = table[table["verdict"] != TOO_FEW]
    if found.empty:
        return "There are too few cases to tell the AUROC under the two protocols apart."
    higher, lower = (found[found["verdict"] == one]["inflation"] for one in (HIGHER, LOWER))
    total = tally(len(found), "model")
    ends = (fixed(end) for end in (found["inflation"].min(), found["inflation"].max()))
    span = " to ".join(dict.fromkeys(ends))
    if higher.empty and lower.empty:
        sentence = (
            f"In none of {total} can the AUROC under the image-wise protocol be told from that "
            f"under the {patient}: every interval holds 0 (differences: {span}). "
            "These evaluation sets show neither that leakage adds anything nor that it does not."
        )
    elif lower.empty:
        sentence = (
            f"The image-wise protocol gave a higher AUROC in {len(higher)} of {total}, by up to "
            f"{fixed(higher.max())} (differences: {span}), as leakage would."
        )
    elif higher.empty:
        sentence = (
            f"The image-wise protocol gave a lower AUROC in {len(lower)} of {total}, by up to "
            f"{fixed(-lower.min())} (differences: {span}): the opposite of what leakage does."
        )
    else:
        sentence = (
            f"The image-wise protocol gave a higher AUROC in {len(higher)} and a lower one in "
            f"{len(lower)} of {total} (differences: {span}), which leakage alone does not."
        )
    few = len(table) - len(found)
    left = f" For {few} more there are too few cases." * bool(few)
    return f"{sentence}{left} {sizes(table)}"


def sizes(table: pd.DataFrame) -> str:
    """How many images train under each protocol, and what that does to the difference."""
    rows, groups = table.drop_duplicates("site"), table["group"].nunique()
    counts = "; ".join(
        f"{row.group}: {row.training_paper:,} against {row.training_patient:,}"
        for row in rows.itertuples()
    )
    if groups > len(rows) or groups > NAMED:
        first, second = (rows[name].sum() for name in TRAINING)
        counts = f"of all sites together: {first:,} against {second:,}"
    more, fewer = ((sign * (rows[TRAINING[0]] - rows[TRAINING[1]]) > 0).all() for sign in (1, -1))
    kind = "more" if more else "fewer" if fewer else "other"
    raising = ", which by itself may raise an AUROC," if more else ""
    trains = f"The image-wise protocol trains on {kind} images ({counts}){raising}"
    return f"{trains} and evaluates others."


def read_training(path: Path) -> pd.Series:
    """How many images of each site train under a protocol; path: its split."""
    split = SPLIT.read(path, "site", "subset")
    return split[split["subset"] == "train"].groupby("site").size()


def layout(table: pd.DataFrame) -> Layout:
    """The table as readers see it: a row a model."""
    groups: dict[str, list] = {}
    for _, row in table.iterrows():
        aurocs = [cell(row, f"auroc_{protocol}") for protocol in PROTOCOLS]
        training = [f"{row[name]:,}" for name in TRAINING]
        difference = signed_cell(pd.Series({**row, "uncertainty": INTERVAL}), "inflation")
        if row["verdict"] == TOO_FEW:
            difference += f", {TOO_FEW}"
        cells = [training[0], aurocs[0], training[1], aurocs[1], difference]
        groups.setdefault(row["group"], []).append([row["model"], *cells])
    seeds = int(table["seeds"].max())
    spread = (
        "In brackets: 95 % intervals; of the difference from those of both values, taken as "
        "independent. Each model was trained once under each protocol: how trainings differ is in "
        "none of them."
        if seeds == 1
        else f"AUROC: mean ± standard deviation over {seeds} seeds. Difference: with the 95 % "
        "interval of the mean, whose variance is that of the images and that between seeds."
    )
    sentence = (
        f"{spread} Not corrected for the number of models. Besides leakage, the difference holds "
        "that the protocols train on other numbers of images (training: of the site) and evaluate "
        "other ones."
    )
    return Layout(
        head=["Model", "Training (paper)", "AUROC", "Training (patient)", "AUROC", "Difference"],
        groups=groups,
        caption="AUROC under both protocols, and the difference.",
        note=" ".join(filter(None, [sentence, few_note(table)])),
    )


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--paper", required=True, type=Path, help="metrics.csv of this protocol")
    parser.add_argument("--patient", required=True, type=Path, help="likewise")
    parser.add_argument("--paper-split", required=True, type=Path, help="which images train")
    parser.add_argument("--patient-split", required=True, type=Path, help="likewise")
    add_titles(parser)
    add_outputs(parser)
    arguments = parser.parse_args(argv)

    splits = arguments.paper_split, arguments.patient_split
    training = dict(zip(PROTOCOLS, map(read_training, splits), strict=True))
    try:
        metrics = read_metrics(arguments.paper), read_metrics(arguments.patient)
        table = compare(*metrics, training, arguments.titles)
    except ValueError as error:
        raise InputError(
            arguments.patient,
            expected=f"the models of {arguments.paper}",
            found=str(error),
            fix="make the evaluation of both protocols again",
        ) from None
    write(INFLATION, table, layout(table), arguments)


if __name__ == "__main__":
    run(main)
