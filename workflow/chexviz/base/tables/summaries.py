"""The tables that readers are shown as they are: Table 1, its tests, and the original beside it."""

from chexviz.base.tables.evaluation import METRICS
from chexviz.base.tables.table import Column, Table, bounds, flag, note, number, text, whole

SEEDS = {"seeds": whole(), "uncertainty": text("95 % interval, or SD over seeds")}
MODEL = {"finding": text(), "site": text(), "model": text("as readers call it")}
MODEL |= {"architecture": text(), "method": text()}
FEW = "of too few cases, which have neither intervals nor p"


def spreads(*names: str) -> dict[str, Column]:
    """Values with their intervals (of one seed) or standard deviations (of several)."""
    return {key: one for name in names for key, one in bounds(name, spread=True).items()}


TABLE1 = Table(
    "table1.csv",
    "a row for each model: the baselines and the first method of `run: methods:`, a federation",
    **MODEL,
    images=whole(),
    positives=whole(),
    **SEEDS,
    **spreads(*METRICS),
    note=note(FEW),
    **bounds("difference", "of AUROC from the baseline", spread=True),
    p=number(),
    mark=note(),
)
EXTERNAL = Table(
    "external.csv",
    "a row for each finding of an external site and model: every baseline, every head of a method, "
    "and its answer once for every baseline; made where the run has an external site",
    **MODEL,
    head=text("as in metrics.csv; of a baseline: the site that it was trained at"),
    images=whole(),
    positives=whole(),
    **SEEDS,
    **spreads(*METRICS),
    note=note(FEW),
    reference=note("site of the baseline that the difference is from; empty: none"),
    **bounds("difference", "of AUROC from that baseline", spread=True),
    p=number(),
    p_holm=number(),
    mark=note(),
)
METHODS = Table(
    "methods.csv",
    "a row for each architecture, method (baseline first) and site",
    finding=text(),
    site=text(),
    architecture=text(),
    method=text(),
    images=whole(),
    positives=whole(),
    **SEEDS,
    **spreads("auroc", "difference"),
    p=number(),
    sent=number("bytes that a site sends in a round, mean"),
    epsilon=number(
        "what any patient of a site, or any site, has spent of its privacy at most (differential "
        "privacy, with the next columns); empty: without `privacy`"
    ),
    delta=number(),
    unit=text("whose privacy it is: patient, site; empty: without"),
    note=note(FEW),
    mark=note(),
)
TESTS = Table(
    "tests.csv",
    "a row for each architecture, site and test of the first method, over all seeds",
    **MODEL,
    **SEEDS,
    test=text(),
    primary=flag("whether the other tables show it"),
    **spreads("difference"),
    standard_error=number(),
    statistic=number("of one seed"),
    p=number(),
    p_holm=number(),
    p_non_inferior=number(),
    margin=number(),
    note=note(),
    verdict=note("non-inferior, not shown, too few, empty: not tested"),
    mark=note(),
)
PUBLISHED = Table(
    "published.csv",
    "a row for each value of the original's Table 1; made where the protocol `paper` is",
    finding=text(),
    model=text(),
    metric=text(),
    published=text("as it is printed there"),
    site=note(),
    ours=number(),
    low=number(),
    high=number("where 95 % of repetitions would lie"),
    seeds=number(),
    verdict=text("inside, above, below: the published value against these; not comparable"),
    reason=note(),
    mark=note(),
)
GRIM = Table(
    "grim.csv",
    "a row for each finding and class of the original",
    finding=text(),
    metric=text(),
    of=text(),
    percentages=text(),
    counts=text(),
    smallest=number("size of an evaluation set that fits its printed percentages"),
    fitting=whole("how many sizes do, of `sizes`"),
    sizes=whole(),
    fifth=whole("of the dataset"),
    divisions=whole("ways to divide that into classes that fit"),
    by_chance=number("of unrelated percentages"),
    in_fifth=number("the class, if there is one way"),
    mark=note(),
)
INFLATION = Table(
    "inflation.csv",
    "a row for each model: its AUROC under both protocols; made where both are",
    **MODEL,
    **SEEDS,
    **spreads("auroc_paper", "auroc_patient", "inflation"),
    verdict=text("higher, lower, not told apart, too few"),
    note=note(),
    training_paper=whole("images of the site that train"),
    training_patient=whole(),
    mark=note(),
)
