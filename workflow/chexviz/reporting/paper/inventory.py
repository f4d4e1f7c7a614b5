"""The result files that the paper reads, below the folder of results."""

from collections.abc import Iterable

TABLES = ("published", "grim", "inflation")
BY_PROTOCOL = {
    "evaluation/{protocol}/{name}.csv": (
        *("metrics", "comparisons", "calibration", "operating_points", "decision"),
        *("localisation", "subgroups", "crosstask", "confusion"),
    ),
    "tables/{protocol}/{name}.csv": ("table1", "methods", "tests"),
    "figures/{protocol}/{name}.pdf": (
        *("figure2", "figure3", "training", "exchange", "calibration", "decision"),
        *("localisation", "contact_sheet", "subgroups", "crosstask", "failures"),
    ),
    "{name}/{protocol}.csv": ("splits", "audit"),
}
BY_SITE = ("samples", "rejected")
ALONE = (
    *("figures/figure1.pdf", "figures/audit.pdf", "figures/flow.pdf"),
    *("figures/simulation.pdf", "figures/coverage.pdf"),
    *("audit/labels.csv", "audit/flow.csv", "audit/sources.csv", "tables/participants.csv"),
    *("evaluation/simulation.csv", "evaluation/coverage.csv"),
)


def study_tables(protocols: list[str]) -> list[str]:
    """The tables of the whole study: what the original reports, and what both protocols tell."""
    made = {"published": "paper" in protocols, "grim": True, "inflation": len(protocols) == 2}
    return [name for name in TABLES if made[name]]


def files(protocols: list[str], sites: Iterable[str]) -> list[str]:
    """All of them, as paths below the results, for a run of these protocols and sites."""
    return [
        *ALONE,
        *(f"tables/{name}.csv" for name in study_tables(protocols)),
        *(
            pattern.format(protocol=protocol, name=name)
            for protocol in protocols
            for pattern, names in BY_PROTOCOL.items()
            for name in names
        ),
        *(f"sites/{site}/{name}.csv" for site in sites for name in BY_SITE),
    ]
