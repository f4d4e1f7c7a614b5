"""The table of all paired tests: a method against its baselines, four ways, corrected."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.tables.evaluation import COMPARED, COMPARISONS, LITERAL
from chexviz.base.tables.summaries import TESTS
from chexviz.evaluation.cases import TOO_FEW, is_too_few
from chexviz.evaluation.over_seeds import SPREAD, holm, over_seeds, over_trainings, uncertainty
from chexviz.reporting.selection import ENDPOINT, compared, of_endpoints
from chexviz.reporting.tables.cells import few_note, signed_cell
from chexviz.reporting.tables.outputs import add_outputs, write
from chexviz.reporting.tables.typesetting import Layout
from chexviz.reporting.titles import TESTS as TITLES
from chexviz.reporting.titles import add_titles, endpoints, group_titles, model_title
from chexviz.reporting.wording import fixed, p_phrase, p_text

HEAD = ("Test", "Difference", "SE", "Statistic", "p", "p (Holm)", "Non-inferior")
ONE_SIDED = 0.025  # the level at which non-inferiority agrees with a 95 % interval


def summarise(tests: pd.DataFrame, sites: list[dict]) -> pd.DataFrame:
    """A row for each comparison and test at the sites that train, over all seeds. tests: of one
    method, see COMPARISONS. sites: see titles.

    Of several seeds: mean and standard deviation of the difference, and the test of the difference
    that is expected over trainings (see over_seeds.expected), but of the t-test over replicates,
    which knows one training alone. `p_holm` is corrected, within each test, for all comparisons of
    the table; the seeds of a comparison are one hypothesis. `primary`: as the other tables show it.
    `verdict`: whether a loss of the margin is excluded; '' where it is not tested. With too few
    cases that is the verdict, and `note` says how many there are.
    """
    tests = of_endpoints(tests, endpoints(sites))
    titles = group_titles(tests, sites)
    tests = tests.assign(primary=~tests.duplicated(COMPARED))
    keys = [*ENDPOINT, "architecture", "method", "test"]
    rows = [
        summarise_test(runs, titles[site, finding])
        for (site, finding, *_), runs in tests.groupby(keys, sort=False)
    ]
    table = pd.DataFrame(rows)
    corrected = table.groupby("test")["p"].transform(lambda p: holm(p.to_numpy()))
    table.insert(table.columns.get_loc("p") + 1, "p_holm", corrected)
    return table


def summarise_test(runs: pd.DataFrame, title: str) -> dict:
    """One row of the table, without p_holm; runs: of one comparison and test, one a seed."""
    first = runs.iloc[0]
    tested = test_of(runs)
    return {
        **{"group": title, "finding": first["finding"], "site": first["site"]},
        "model": model_title(first["architecture"], first["method"]),
        **{"architecture": first["architecture"], "method": first["method"]},
        **{"seeds": len(runs), "uncertainty": uncertainty(len(runs))},
        **{"test": first["test"], "primary": first["primary"]},
        **over_seeds("difference", runs[["difference", "low", "high"]]),
        **tested,
        **{"margin": first["margin"], "note": first["note"]},
        "verdict": verdict(tested | {"note": first["note"]}),
    }


def test_of(runs: pd.DataFrame) -> dict[str, float]:
    """Standard error, statistic and p values of one comparison and test; runs: one a seed."""
    names = ("standard_error", "statistic", "p", "p_non_inferior")
    if len(runs) == 1:
        return {name: runs[name].iloc[0] for name in names}
    if runs["test"].iloc[0] == LITERAL:
        return dict.fromkeys(names, np.nan)
    found = over_trainings(runs)
    error = found.standard_error
    statistic = found.difference / error if error else np.nan
    p = found.p(), found.p_non_inferior(runs["margin"].iloc[0])
    return dict(zip(names, (error, statistic, *p), strict=True))


def verdict(tested: Mapping) -> str:
    """What a one-sided test of non-inferiority says; 'too few' cases; '' without a p value.

    tested: p_non_inferior and note.
    """
    if is_too_few(tested["note"]):
        return TOO_FEW
    if np.isnan(tested["p_non_inferior"]):
        return ""
    return "non-inferior" if tested["p_non_inferior"] < ONE_SIDED else "not shown"


def test_cells(row: Mapping) -> list[str]:
    """One test as readers see it, by the headings HEAD; row: as from summarise."""
    literal = row["test"] == LITERAL
    remark = " (primary)" * bool(row["primary"]) + " (anti-conservative)" * literal
    letter = "t" if literal or row["uncertainty"] == SPREAD else "z"
    answer = {"non-inferior": "yes", "not shown": "no"}.get(row["verdict"])
    untested = TOO_FEW if row["verdict"] == TOO_FEW else "–"
    return [
        TITLES[row["test"]] + remark,
        signed_cell(row, "difference"),
        "–" if np.isnan(row["standard_error"]) else f"{row['standard_error']:.4f}",
        "–" if np.isnan(row["statistic"]) else f"{letter} = {fixed(row['statistic'], 2)}",
        untested if np.isnan(row["p"]) else p_text(row["p"]),
        p_text(row["p_holm"]),
        f"{answer}, {p_phrase(row['p_non_inferior'])}" if answer else untested,
    ]


def note(table: pd.DataFrame) -> str:
    """What a reader must know below the table."""
    family = int(table.loc[table["primary"].astype(bool), "p"].notna().sum())
    seeds = int(table["seeds"].max())
    spread = (
        "In brackets: 95 % intervals"
        if seeds == 1
        else f"Mean ± standard deviation over {seeds} seeds; tested is the difference that is "
        "expected over trainings, whose variance is that of the images and that between seeds"
    )
    reading = (
        f"Difference: AUROC of the federated model minus that of its baseline. {spread}. "
        f"p (Holm): corrected, within each test, for the {family} comparisons of this table. "
        f"Non-inferior: no loss of {table['margin'].max():g} or more (one-sided p < {ONE_SIDED}, "
        "not corrected). Images of one patient are not independent, which only the bootstrap over "
        "patients respects. The t-test takes bootstrap replicates for observations: its p falls "
        "with their number, and it rejects true null hypotheses."
    )
    return " ".join(filter(None, [reading, few_note(table)]))


def layout(table: pd.DataFrame) -> Layout:
    """The table as readers see it: a group a comparison, a row a test."""
    groups = {
        f"{group}, {model}": [test_cells(row) for row in rows.to_dict("records")]
        for (group, model), rows in table.groupby(["group", "model"], sort=False)
    }
    caption = "Paired tests of AUROC, federated models against their baselines."
    return Layout([*HEAD], groups, caption, note(table))


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--comparisons", required=True, type=Path)
    parser.add_argument("--method", required=True, help="compared with the baselines")
    add_titles(parser)
    add_outputs(parser)
    arguments = parser.parse_args(argv)

    tests = compared(
        COMPARISONS.read(arguments.comparisons), arguments.method, arguments.comparisons
    )
    table = summarise(tests, arguments.titles)
    write(TESTS, table, layout(table), arguments)


if __name__ == "__main__":
    run(main)
