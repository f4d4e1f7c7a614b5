"""All readers, and a raw layout to one listing by one of them."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from chexviz.base.errors import InputError
from chexviz.data.readers import rsna, siim, table
from chexviz.data.readers.files import is_radiograph
from chexviz.data.readers.label_tables import locate
from chexviz.data.readers.listing import Listing, Options, empty_site
from chexviz.data.readers.patients import identified

# Each takes the folder of the site's data, its manifest (file, bytes, sha256), the rows of that
# which are DICOM, and the options.
Reader = Callable[[Path, pd.DataFrame, pd.DataFrame, Options], Listing]
READERS: dict[str, Reader] = {
    "rsna": rsna.read,
    "siim": siim.read,
    "table": table.read,
}


def read(reader: str, folder: Path, files: pd.DataFrame, options: Options) -> Listing:
    """List the images of a site.

    reader: a key of READERS. folder: the site's data. files: the manifest (file, bytes, sha256).
    Raises InputError if there is no such reader, a table is not as expected, or no image is left.
    """
    if reader not in READERS:
        raise InputError(
            f"reader {reader}",
            expected=f"one of {', '.join(READERS)}",
            found=reader,
            fix="correct `reader` of the site in the config",
        )
    dicoms = files[[is_radiograph(folder, file) for file in files["file"]]]
    if dicoms.empty:
        raise empty_site(folder, f"{len(files)} files, none of them DICOM")
    listing = READERS[reader](folder, files, dicoms, options)
    if not (listing.records["label"] != "").any():
        found = f"{len(dicoms)} DICOM files, none of them labelled: {listing.table.apart()}"
        raise empty_site(folder, f"{found}; {len(listing.records)} have a row without a label")
    read_tables = {listing.table.path}
    if options.patients:
        path = locate(folder, options.patients)
        listing.records = identified(listing.records, path)
        read_tables.add(path)
    taken = {*dicoms["file"], *listing.records["file"]}
    others = [file for file in files["file"] if file not in taken]
    listing.others = [file for file in others if folder / file not in read_tables]
    return listing
