"""What the paired tests of one protocol say, all of them beside each other."""

from collections.abc import Sequence
from pathlib import Path

from chexviz.base.tables.evaluation import LITERAL
from chexviz.base.tables.summaries import TESTS as TABLE
from chexviz.reporting.paper.comparisons import SIGNIFICANCE
from chexviz.reporting.tables import tests
from chexviz.reporting.tables.typesetting import to_json
from chexviz.reporting.titles import Endpoint, grouped
from chexviz.reporting.wording import counted, in_words, listed, part_of

# What a sentence calls the paired tests.
TESTS = {
    "bootstrap_patients": "the bootstrap over patients",
    "bootstrap_images": "the bootstrap over images",
    "delong": "DeLong’s test",
    LITERAL: "the t test over replicates",
}


def tests_facts(path: Path, titles: dict[Endpoint, str]) -> dict:
    """The table of all paired tests; how many comparisons each calls significant."""
    table = grouped(TABLE.read(path), titles)
    primary = table[table["primary"]]
    significant = table["p"] < SIGNIFICANCE
    sentence = tests_sentence(
        int(primary["p"].notna().sum()),
        [
            (TESTS[test], int(significant[rows.index].sum()))
            for test, rows in table.groupby("test", sort=False)
        ],
        int((primary["p_holm"] < SIGNIFICANCE).sum()),
        float(primary["margin"].iloc[0]),
        int((primary["verdict"] == "non-inferior").sum()),
    )
    return {"table": to_json(tests.layout(table)), "said": sentence}


def tests_sentence(
    comparisons: int,
    significant: Sequence[tuple[str, int]],
    holm: int,
    margin: float,
    non_inferior: int,
) -> str:
    """How many of so many comparisons each test calls significant.

    significant: what a sentence calls a test, and its number. holm: that of the primary test after
    correction. non_inferior: in how many comparisons a loss of `margin` in AUROC is ruled out.
    """
    if not comparisons:
        return "no comparison had enough cases to be tested."
    by_test = listed(
        f"{in_words(number) if number else 'none'} by {title}" for title, number in significant
    )
    return (
        f"the significant differences among {counted(comparisons, 'comparison')} were, without "
        f"correction, {by_test}. Holm’s correction of the primary test left "
        f"{in_words(holm) if holm else 'none'}. A loss of {margin:g} or more in AUROC could be "
        f"ruled out in {part_of(non_inferior, comparisons, 'comparison')}."
    )
