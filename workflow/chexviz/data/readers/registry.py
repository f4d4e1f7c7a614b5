"""All readers, and a raw layout to one listing by one of them."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.tables.sites import ATTRIBUTE
from chexviz.data.decoding.signature import is_radiograph
from chexviz.data.readers import chexpert, mimic, nih, padchest, rsna, siim, table, vindr
from chexviz.data.readers.attributes import attribute
from chexviz.data.readers.label_tables import locate
from chexviz.data.readers.listing import Listing, Options, empty_site, label_columns
from chexviz.data.readers.patients import identified

# Each takes the folder of the site's data, its manifest (file, bytes, sha256), the rows of that
# which are radiographs, and the options.
Reader = Callable[[Path, pd.DataFrame, pd.DataFrame, Options], Listing]
READERS: dict[str, Reader] = {
    "rsna": rsna.read,
    "siim": siim.read,
    "nih": nih.read,
    "chexpert": chexpert.read,
    "mimic": mimic.read,
    "vindr": vindr.read,
    "padchest": padchest.read,
    "table": table.read,
}


def read(reader: str, folder: Path, files: pd.DataFrame, options: Options) -> Listing:
    """List the images of a site.

    reader: a key of READERS. folder: the site's data. files: the manifest (file, bytes, sha256).
    Raises InputError if there is no such reader, a table is not as expected, the split that the
    dataset comes with is asked for and there is none, or no image is left.
    """
    if reader not in READERS:
        raise InputError(
            f"reader {reader}",
            expected=f"one of {', '.join(READERS)}",
            found=reader,
            fix="correct `reader` of the site in the config",
        )
    images = files[[is_radiograph(folder, file) for file in files["file"]]]
    if images.empty:
        raise empty_site(folder, f"{len(files)} files, none of them a radiograph")
    listing = READERS[reader](folder, files, images, options)
    if not (listing.records[label_columns(listing.records)] != "").any(axis=None):
        found = f"{len(images)} radiographs, none of them with a label of "
        found += f"{', '.join(options.findings)}: {listing.table.apart()}"
        raise empty_site(folder, f"{found}; {len(listing.records)} have a row without a label")
    if options.given_split:
        check_split(reader, listing)
    read_tables = {listing.table.path, *listing.beside}
    if options.patients:
        path = locate(folder, options.patients)
        listing.records = identified(listing.records, path)
        read_tables.add(path)
    for name, one in options.attributes.items():
        path = locate(folder, one.table)
        column = attribute(listing.records, path, name, one.column)
        listing.records = listing.records.assign(**{f"{ATTRIBUTE}{name}": column})
        read_tables.add(path)
    if options.annotations:
        read_tables.add(locate(folder, options.annotations))
    taken = {*images["file"], *listing.records["file"]}
    others = [file for file in files["file"] if file not in taken]
    listing.others = [file for file in others if folder / file not in read_tables]
    return listing


def check_split(reader: str, listing: Listing) -> None:
    """Raise InputError if a dataset comes with no split of its own."""
    if "subset" not in listing.records or not (listing.records["subset"] != "").any():
        raise InputError(
            listing.table.path,
            expected="train, validation or evaluation for its images, as `split: given` says",
            found=f"the reader {reader} finds none",
            fix="set `split: protocol` of the site in the config, or of a hospital's table name "
            "the column that says it in `columns: subset`",
        )
