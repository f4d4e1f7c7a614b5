"""The result files that the paper reads, below the folder of results, and the figures of a run.

Read by the workflow before any environment of a rule is there, so modules of figures are read for
what they declare, and not imported.
"""

import ast
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

FIGURES = Path(__file__).parents[1] / "figures"
TABLES = ("published", "grim", "inflation", "leaks")
BY_PROTOCOL = {
    "evaluation/{protocol}/{name}.csv": (
        *("metrics", "comparisons", "calibration", "operating_points", "decision"),
        *("localisation", "chexlocalize", "subgroups", "shortcuts", "representation"),
        *("crosstask", "confusion"),
    ),
    "{name}/{protocol}.csv": ("splits", "audit"),
}
BY_SITE = ("samples", "rejected")
BY_ATTACKED = ("inversion", "membership")
HASHES = "privacy/hashes.csv"  # where any model is attacked
ALONE = (
    *("audit/labels.csv", "audit/flow.csv", "audit/sources.csv", "tables/participants.csv"),
    *("evaluation/simulation.csv", "evaluation/coverage.csv"),
)


class Figure(NamedTuple):
    """A figure, as FIGURE in its module declares it: a dictionary of these, of constants alone.

    name: of its files, figures/{name}.pdf and .png, in a folder of its protocol if there is one
    under each (by_protocol). caption: in the paper, as Typst markup, in which there are `protocol`
    (its title and name, if by_protocol), `capital`, `level` (of intervals), `known` (of patients)
    and `settings`. alt: its text for those who cannot see it. limit: its height at most, in mm.
    category, shows, report: where the report has the figure, its label there, and its caption as
    reStructuredText, in which {protocol}, {method} (the first) and {config[...]} stand for values.
    of: what of the run its pages show, see `counts`; per_page: how many of them a page has.
    columns: panels that stand side by side, one for each architecture; a run of fewer has as many
    more of `of` in a row, and on a page. asked: what a run must have for it, see `shown_figures`.
    radiographs: whether it shows any.
    """

    name: str
    caption: str
    alt: str
    category: str
    shows: str
    report: str
    by_protocol: bool = True
    limit: int = 200
    of: str = "run"
    per_page: int = 1
    columns: int = 1
    asked: str = ""
    radiographs: bool = False

    def pages(self, sites: list[dict], architectures: int) -> int:
        """How many pages it has in a run of these; without any it is not made.

        architectures: how many.
        """
        most = self.per_page * max(1, self.columns // architectures)
        return -(-counts(sites)[self.of] // most)

    def in_paper(self, sites: list[dict], architectures: int) -> dict:
        """What the paper's template needs of it, in a run of these; see `pages`."""
        keys = ("name", "by_protocol", "caption", "alt", "limit")
        pages = self.pages(sites, architectures)
        return {key: getattr(self, key) for key in keys} | {"pages": pages}


def counts(sites: list[dict]) -> dict[str, int]:
    """What the pages of a figure can be of, and how many of these a run of these sites has.

    sites: role and findings of each. An endpoint is a site with one of its findings; sites and
    endpoints are those that train, and of external ones those that a model can answer; answered
    are both.
    """
    training, external = (
        [site["findings"] for site in sites if site["role"] == role]
        for role in ("train", "external")
    )
    learned = {finding for findings in training for finding in findings}
    trained = sum(map(len, training))
    answered = sum(len(learned.intersection(findings)) for findings in external)
    return {
        "run": 1,
        "sites": len(training),
        "endpoints": trained,
        "all endpoints": sum(map(len, training + external)),
        "external endpoints": answered,
        "answered endpoints": trained + answered,
    }


def declared(source: str) -> Figure | None:
    """The figure that a module declares, from its text; None if it declares none."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FIGURE":
            return Figure(**ast.literal_eval(node.value))
    return None


@cache
def figures() -> dict[str, Figure]:
    """Every figure by its name: all that modules of the folder of figures declare."""
    found = [declared(path.read_text(encoding="utf-8")) for path in sorted(FIGURES.glob("*.py"))]
    return {figure.name: figure for figure in found if figure}


def shown_figures(sites: list[dict], architectures: int, asked: Collection[str] = ()) -> list[dict]:
    """The figures that a run of these has, each as the paper's template needs it.

    sites: name, title, role and findings of each. architectures: how many. asked: what the run has
    that not every run has: `privacy` (attacks), `private methods`.
    """
    made = [figure for figure in figures().values() if figure.asked in ("", *asked)]
    shown = [figure.in_paper(sites, architectures) for figure in made]
    return [figure for figure in shown if figure["pages"]]


def study_tables(protocols: list[str], attacked: Sequence[Mapping] = ()) -> list[str]:
    """The tables of the whole study: what the original reports, what both protocols tell, and what
    models leak that are attacked."""
    made = {
        **{"published": "paper" in protocols, "grim": True, "inflation": len(protocols) == 2},
        "leaks": bool(attacked),
    }
    return [name for name in TABLES if made[name]]


def protocol_tables(sites: Iterable[Mapping]) -> list[str]:
    """The tables of each protocol, in a run of these sites, of which the role is asked."""
    external = any(site["role"] == "external" for site in sites)
    return ["table1", "methods", "tests", *(["external"] if external else [])]


def figure_files(figure: Mapping, protocols: Iterable[str]) -> list[str]:
    """The PDFs of a figure, which is as `in_paper` gives it, in a run of these protocols."""
    folders = protocols if figure["by_protocol"] else [""]
    return [str(PurePosixPath("figures", folder, f"{figure['name']}.pdf")) for folder in folders]


def leak_file(attacked: Mapping, name: str) -> str:
    """A table of what a model leaks. attacked: its architecture and method."""
    return f"privacy/{attacked['architecture']}/{attacked['method']}/{name}.csv"


def files(
    protocols: list[str],
    sites: list[dict],
    shown: Iterable[Mapping],
    attacked: Sequence[Mapping] = (),
) -> list[str]:
    """All of them, as paths below the results, for a run of these protocols and sites.

    sites: see titles. shown: the figures, as `in_paper` gives them. attacked: the models whose
    leaks are measured.
    """
    by_protocol = BY_PROTOCOL | {"tables/{protocol}/{name}.csv": protocol_tables(sites)}
    return [
        *ALONE,
        *(file for figure in shown for file in figure_files(figure, protocols)),
        *(f"tables/{name}.csv" for name in study_tables(protocols, attacked)),
        *(
            pattern.format(protocol=protocol, name=name)
            for protocol in protocols
            for pattern, names in by_protocol.items()
            for name in names
        ),
        *(f"sites/{site['name']}/{name}.csv" for site in sites for name in BY_SITE),
        *(leak_file(one, name) for one in attacked for name in BY_ATTACKED),
        *([HASHES] if attacked else []),
    ]
