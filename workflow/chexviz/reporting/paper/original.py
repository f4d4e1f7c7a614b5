"""What the original reports beside ours, and what its printed numbers tell of its data."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from chexviz.base.tables.evaluation import LITERAL
from chexviz.base.tables.summaries import INFLATION, PUBLISHED
from chexviz.reporting.tables import grim, inflation, published
from chexviz.reporting.tables.typesetting import to_json
from chexviz.reporting.titles import Endpoint, grouped
from chexviz.reporting.wording import capitalised, in_words, joined, listed, percent


def published_facts(path: Path, titles: dict[Endpoint, str], simulation: pd.DataFrame) -> dict:
    """The published table beside ours, how many values agree, and why p values are not compared."""
    table = grouped(PUBLISHED.read(path), titles)
    table["group"] = table["group"].fillna(table["finding"].map(capitalised))
    verdicts = (published.INSIDE, published.ABOVE, published.BELOW)
    counts = [int((table["verdict"] == verdict).sum()) for verdict in verdicts]
    p = table["metric"] == "p"
    literal = simulation[simulation["test"] == LITERAL].iloc[-1]
    return {
        "table": to_json(published.layout(table)),
        "compared": sum(counts),
        "inside": counts[0],
        "said": agreement(int((~p).sum()), *counts),
        "discrepancy": discrepancy(*counts),
        "p": published_p(
            [float(one) for one in table.loc[p, "published"]],
            float(literal["rate"]),
            int(literal["replicates"]),
        ),
    }


def agreement(values: int, inside: int, above: int, below: int) -> str:
    """How many published values agree with ours."""
    compared = inside + above + below
    if not compared:
        return (
            f"None of its {values} values can be compared with ours, for the reasons below the "
            "table."
        )
    sentence = (
        f"Of {values} values, {compared} can be compared with ours; {inside} "
        f"({percent(inside / compared)}) lie where {percent(0.95)} of repetitions of our "
        f"evaluation would, {above} above and {below} below."
    )
    if inside == values:
        sentence += " The reproduction agrees with the original throughout."
    return sentence


def discrepancy(inside: int, above: int, below: int) -> str:
    """What is made of the published values that lie outside; '' if none can be compared."""
    compared = inside + above + below
    if not compared:
        return ""
    if inside == compared:
        return f"All {compared} published values that can be compared are compatible with ours."
    return (
        f"Of the published values that can be compared, {percent(inside / compared)} are "
        "compatible with ours. Why the others are not is unknown: the original does not state its "
        "batch, augmentation, learning-rate schedule and input size, and nothing here tells their "
        "effect from chance. Sensitivity and specificity, in addition, move in opposite directions "
        "with the threshold."
    )


def published_p(values: Sequence[float], rate: float, replicates: int) -> str:
    """Why the published p values are not compared.

    values: as printed. rate: at which the literal test, over so many replicates, calls equally good
    models different.
    """
    printed = sorted(values)
    return (
        "The published p values are not compared with ours: the original does not state its test "
        "in full. Read literally, as a t test over bootstrap replicates, it calls "
        f"{percent(rate)} of equally good models different with {replicates:,} replicates, "
        f"whereas the published p are from {printed[0]:.2f} to {printed[-1]:.2f}."
    )


def grim_facts(path: Path) -> dict:
    """The sizes that fit the published percentages, by finding; what they say of the first."""
    table = grim.read(path)
    splits = [
        original_split(
            task,
            int(rows["divisions"].iloc[0]),
            [int(part) for part in rows["in_fifth"].dropna()],
            float(rows["by_chance"].iloc[0]),
        )
        for task, rows in table.groupby("finding", sort=False)
    ]
    tasks = [
        sizes(
            task,
            int(rows["fifth"].iloc[0]),
            int(rows["divisions"].iloc[0]),
            [int(part) for part in rows["in_fifth"].dropna()],
            [int(size) for size in rows["smallest"].dropna()],
        )
        for task, rows in table.groupby("finding", sort=False)
    ]
    return {"table": to_json(grim.layout(table)), "split": splits[0], "sizes": joined(tasks)}


def original_split(task: str, divisions: int, parts: Sequence[int], by_chance: float) -> str:
    """What the published percentages say of how the original was split.

    divisions: in how many ways a fifth of the dataset divides into classes that fit them, if one
    into these parts. by_chance: how many are to be expected of unrelated percentages.
    """
    if divisions != 1:
        return (
            "How the original was split does not follow from its table: a fifth of the dataset "
            f"divides in {in_words(divisions)} ways that fit the published percentages for {task}."
        )
    expected = f"{by_chance:.2g}" if by_chance >= 0.001 else "fewer than 0.001"
    return (
        f"The published percentages for {task} fit {parts[0]:,} positive and {parts[1]:,} negative "
        f"images, a fifth of the dataset, and no other division of it ({expected} such divisions "
        "are to be expected of unrelated percentages). That suggests a plain random fifth. It does "
        "not tell a draw of images from one of patients."
    )


def sizes(
    task: str, fifth: int, divisions: int, parts: Sequence[int], smallest: Sequence[int]
) -> str:
    """Which evaluation sets the published percentages fit. smallest: classes that fit at all."""
    images = f"{fifth:,} images, a fifth of the dataset"
    if divisions == 1:
        return (
            f"The published percentages for {task} fit {parts[0]:,} positive and {parts[1]:,} "
            f"negative images, and no other division of {images}."
        )
    number = f"{divisions:,} divisions" if divisions else "no division"
    sentence = f"For {task}, {number} of {images}, fit{'' if divisions else 's'}."
    if not smallest:
        return sentence
    return (
        f"{sentence} The smallest classes that do have {listed(f'{size:,}' for size in smallest)} "
        "images."
    )


def inflation_facts(path: Path, titles: dict[Endpoint, str], patient: str) -> dict:
    """AUROC under both protocols, and in words what their differences say."""
    table = grouped(INFLATION.read(path), titles)
    return {"table": to_json(inflation.layout(table)), "said": inflation.words(table, patient)}
