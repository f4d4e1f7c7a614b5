"""The tables of one site: its files, images and annotations, and what was wrong with them."""

from chexviz.base.tables.table import Table, flag, note, number, text, whole

MANIFEST = Table(
    "manifest.csv",
    "every raw file of a site; sorted by file",
    file=text("relative to data/, POSIX"),
    bytes=whole(),
    sha256=text(),
)
FETCHED = Table(
    "fetched.csv",
    "which source these files are of; one row",
    source=text("the one of the site's list that could be had"),
    date=text(
        "UTC, on which a remote source was fetched; empty: it lay on this machine, or was drawn"
    ),
    address=text("where others find the same; empty: of files on this machine and of drawn ones"),
)
LABEL = "label_"  # and the name of a finding: the column of its labels
LABELS = "1, 0, empty = unknown"
ATTRIBUTE = "attribute_"  # and the name of one: the column of its values
SAMPLES = Table(
    "samples.csv",
    "a row for each image, in the order of the arrays, sorted by image",
    image=text("id, unique within the site"),
    file=text(),
    patient=text("global: two sites that write the same id mean the same person"),
    patient_known=flag(
        "False: the source does not say who it is, so the image stands for a patient of its own"
    ),
    subset=text(
        "of the split that the dataset comes with: train, validation, evaluation; empty: in none, "
        "or it has none"
    ),
    view=text("AP, PA, ..., empty"),
    sex=text("F, M, empty"),
    age=number("years up to 120, empty"),
    age_stated=text("as the file has it"),
    spacing=number("mm per pixel of images.npy, empty"),
    sha256=text("of the file"),
    phash=text("16 hexadecimal digits"),
    label_=number(
        f"and the name of a finding, for each of the site's `findings` and `evaluated_findings`: "
        f"{LABELS}"
    ),
    attribute_=text(
        "and the name of an attribute, for each of the site's `attributes`: its value, empty"
    ),
)
LUNGS = "lungs"  # what annotations call a lung mask, which is of no finding
ANNOTATIONS = Table(
    "annotations.csv",
    "a row for each box or mask",
    image=text(),
    finding=note(f"whose; empty: of the site's only one; {LUNGS}: a lung mask, of no finding"),
    x=number("of a box or the mask's bounding box, as the next three"),
    y=number(),
    width=number(),
    height=number("pixels of images.npy, origin top left, real numbers"),
    runs=text(
        "mask only: 'start length start length ...', zero-based, column-major, on the S x S grid"
    ),
)
REJECTED = Table(
    "rejected.csv",
    "a row for each file that is no image; sorted by file",
    file=text(),
    reason=text(),
)
SHARDS = Table(
    "shards.csv",
    "a row for each array of a shard, in the order of samples.csv",
    file=text("relative to the site's folder"),
    images=whole(),
    sha256=text(),
)
SITES = Table(
    "sites.csv",
    "a row for each array of a site",
    site=text(),
    file=text("relative to the folder of sites.csv"),
    images=whole(),
    sha256=text(),
)
CONTRACT = Table(
    "contract.csv",
    "what the site's dataset is known to hold, and what is there",
    check=text(),
    expected=note("empty: nothing"),
    found=note(),
    verdict=text("as expected, differs, not checked"),
)
