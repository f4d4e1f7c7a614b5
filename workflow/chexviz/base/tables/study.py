"""The tables of all sites together: pairs, splits, and what the audits found."""

from chexviz.base.tables.sites import LABELS
from chexviz.base.tables.table import Table, flag, note, number, text, whole

SUBSETS = ("train", "validation", "evaluation")
PAIR = ["site_a", "image_a", "site_b", "image_b"]
DUPLICATES = Table(
    "duplicates.csv",
    "a row for each pair of near-identical images, within and across sites",
    **{name: text() for name in PAIR},
    hamming=whole("bits of phash that differ"),
    difference=number("mean absolute grey level of the equalised 64 x 64 thumbnails"),
    same_file=flag("True or False"),
)
SPLIT = Table(
    "splits",
    "a row for each image that has a label of one of its site's findings; of one site, and of all",
    site=text(),
    image=text(),
    patient=text(),
    subset=text("train, validation, evaluation"),
    position=whole("among the packed images of the site"),
    label_=number(f"and the name of a finding, as in samples.csv: {LABELS}"),
)
LEAKAGE = Table(
    "audit/{protocol}.csv",
    "patients and images that evaluation shares with training",
    protocol=text(),
    site=text("whose evaluation images"),
    scope=text(
        "within: against images of the same site that do not evaluate; across: of other sites; "
        "any: of all"
    ),
    other=text("the site of the latter; empty: all of the scope"),
    shared=text(
        "patient; duplicate: near-identical; exact: the same file by checksum; any of these"
    ),
    evaluation_images=whole(),
    known_images=whole("those whose patient is known"),
    affected_images=whole(),
    fraction=number(
        "affected of evaluation images; of known ones where `shared` is patient; empty: there are "
        "none, here or to compare with"
    ),
    note=note(),
)
LABEL_CHECKS = Table(
    "audit/labels.csv",
    "a row for each check of labels and tags",
    site=text(),
    check=text(
        "shared patient, shared duplicate, shared exact: with the site in `group`; conflicting "
        "labels: of near-identical images at the site in `group`, if both label the finding; "
        "patients: known ones; several images: of patients who have more than one; missing, "
        "impossible: the tag in `group`; positive: in `group`; odds ratio: of a positive label"
    ),
    finding=note("whose labels; empty: of no finding"),
    group=text(),
    images=whole("looked at"),
    count=number("found"),
    value=number("count of images as a fraction; images per patient; or the odds ratio"),
    low=number(),
    high=number("95 %: Wilson, or Woolf for odds ratios; else empty"),
    note=note(),
)
SOURCES = Table(
    "audit/sources.csv",
    "where the files of every site come from",
    site=text(),
    kind=text("of the source"),
    address=note("as in fetched.csv, like the next"),
    date=note(),
    files=whole(),
    bytes=whole(),
    sha256=text("of the manifest: the same for the same files"),
    mark=note(),
)
FLOW = Table(
    "audit/flow.csv",
    "what became of the radiographs, from those found to the subsets",
    site=text(),
    step=text(
        "found: radiographs; rejected: for `reason`; usable; unlabelled: usable, but in no subset; "
        "subset: under `protocol`, in `subset`"
    ),
    protocol=note(),
    subset=note(),
    reason=note("names and sizes in it are '...'"),
    images=whole(),
    positives=number("images with at least one of the site's findings"),
    patients=number("known ones; empty: none is known, or the images were not opened"),
    mark=note(),
)
PARTICIPANTS = Table(
    "participants.csv",
    "a row for all labelled images of a site, and for each subset of each protocol",
    site=text(),
    protocol=note(),
    subset=text("all: the labelled images of the site"),
    images=whole(),
    positives=whole("images with at least one of the site's findings"),
    patients=number("known ones"),
    patients_unknown=whole("images of others"),
    female=whole("images, as all that follow but the ages"),
    male=whole(),
    sex_unknown=whole(),
    age_median=number("years, of images"),
    age_low=number("first quartile"),
    age_high=number("third quartile"),
    age_unknown=whole(),
    ap=whole(),
    pa=whole(),
    view_other=whole(),
    view_unknown=whole(),
    positives_=number(
        "and the name of a finding: images with it; empty: not a finding of the site"
    ),
    known_=number("and the name of a finding: images whose label of it is known; likewise"),
    mark=note(),
)
