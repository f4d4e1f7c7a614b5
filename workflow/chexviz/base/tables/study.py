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
KEYED = Table(
    "keyed.csv",
    "what a site tells of its images, for the audit between sites: a row for the patient and the "
    "file of each image, and one for its perceptual hash, which are not linked; each kind sorted",
    key=text("which secret the hashes are under: the same for the same"),
    subset=text("train, validation, evaluation"),
    patient=text("HMAC-SHA256 of the id, in hexadecimal; empty: unknown, or of a perceptual hash"),
    file=text("HMAC-SHA256 of the file's sha256; empty: of a perceptual hash"),
    phash=text("the bits in a secret order, some of them turned; empty: of a patient and a file"),
)
SHARED_KINDS = ("patient", "exact", "close", "candidate")
SHARED = Table(
    "audit/between_sites.csv",
    "a row for each site, other site and kind of what they share, found by their keyed.csv",
    site=text(),
    other=text(),
    shared=text(
        "patient; exact: the same file by checksum; close, candidate: perceptual hashes that "
        "differ by few bits, and by more of them"
    ),
    bits=note("of phash that differ; empty: of patients and files"),
    common=note(
        "patients, files, or pairs of images; '<5': fewer, but not none; empty: one of the sites "
        "has told none, so that nothing can be found (likewise in what follows)"
    ),
    images=note("of the site that share it with the other"),
    leaking=note(
        "of these, those that share it with an earlier subset of the other site: a file that "
        "evaluates here and trains there"
    ),
)
LEAKING = Table(
    "leaking.csv",
    "what a site is told back of its own images: a row for each that shares something with an "
    "earlier subset of another site",
    shared=text(", ".join(SHARED_KINDS)),
    subset=text("of the image"),
    file=text("as in keyed.csv; empty: of close ones and candidates"),
    phash=text("as in keyed.csv; empty: of patients and files"),
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
