"""The tables of what a federation gives away, below privacy/."""

from chexviz.base.tables.table import Table, note, number, text, whole

HASHES = Table(
    "privacy/hashes.csv",
    "a row for each site, attack on its perceptual hashes by one that has the other sites' "
    "radiographs, and measure (docs/privacy.md)",
    site=text(),
    attack=text(
        "order: which scrambled bit is which; picture: a radiograph drawn from its unscrambled hash"
    ),
    measure=text(
        "bits: of 64 in their place, by chance 1; correlation: of the picture with the radiograph, "
        "both less the mean radiograph; control: with those of other patients; first: share of "
        "radiographs that are the most alike of all of the site"
    ),
    value=number(),
    low=number(),
    high=number("of order the range over secrets, else the interval"),
    images=whole("looked at"),
    patients=whole(),
    note=note(),
)
