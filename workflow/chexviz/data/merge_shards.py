"""The shards of a site to its tables, and to a list of their arrays, which stay where they are.

Entry point: python -m chexviz.data.merge_shards --site rsna --shards NPY... --index CSV
--samples CSV --annotations CSV --rejected CSV --contract CSV --settings JSON. A shard's tables lie
beside its array. The tables are those of the site preprocessed in one piece, byte for byte.
"""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing_all, sha256
from chexviz.base.settings import Settings, read
from chexviz.base.tables.sites import CONTRACT, REJECTED, SAMPLES, SHARDS
from chexviz.data import contract
from chexviz.data.preprocess import summary
from chexviz.data.readers.listing import empty_site, label_columns
from chexviz.images.arrays import open_array

OUTPUTS = ("index", "samples", "annotations", "rejected", "contract")


class Merge(Settings, frozen=True):
    """What the source of the site is known to hold; None: nothing."""

    contract: contract.Contract | None


def concatenate(tables: list[Path], output: Path) -> None:
    """Write the rows of all tables under their common header; no table is held in memory.

    Raises InputError if a header differs.
    """
    with output.open("wb") as target:
        for path in tables:
            with path.open("rb") as source:
                header = source.readline()
                if path == tables[0]:
                    first = header
                    target.write(header)
                elif header != first:
                    raise InputError(
                        path,
                        expected=f"the columns {first.decode().strip()}, as in {tables[0]}",
                        found=header.decode().strip(),
                        fix="remove both files and run again",
                    )
                shutil.copyfileobj(source, target)


def listed(shards: list[Path], folder: Path) -> pd.DataFrame:
    """The arrays that hold images, with their number and checksum; file: relative to `folder`."""
    rows = [
        (path.relative_to(folder).as_posix(), count, sha256(path))
        for path in shards
        if (count := len(open_array(path)))
    ]
    return SHARDS.frame(rows)


def merge(site: str, settings: Merge, shards: list[Path], outputs: Mapping[str, Path]) -> str:
    """Write a site's tables from those of its shards, in order; all appear together, or none.

    Returns a line that sums them up. Raises InputError if a shard's tables do not fit its array,
    too little is kept for a strict contract, or no labelled image is left.
    """
    index = listed(shards, outputs["index"].parent)
    beside = {name: [path.with_name(f"{name}.csv") for path in shards] for name in OUTPUTS[1:]}
    rejected = pd.concat(map(REJECTED.read, beside["rejected"]))
    with replacing_all(outputs) as paths:
        for name in ("samples", "annotations"):
            concatenate(beside[name], paths[name])
        labels = label_columns(pd.read_csv(paths["samples"], nrows=0))
        samples = SAMPLES.read(paths["samples"], "patient", "patient_known", *labels)
        if len(samples) != index["images"].sum():
            raise InputError(
                outputs["index"].parent,
                expected=f"{len(samples)} images in its shards, one a row of their samples.csv",
                found=f"{index['images'].sum()} images",
                fix=f"remove {shards[0].parent.parent} and run again",
            )
        line = summary(site, samples, rejected)
        if samples[labels].isna().all(axis=None):
            raise empty_site(outputs["index"].parent, line)
        REJECTED.write(rejected.sort_values(["file", "reason"]), paths["rejected"])
        # Every shard has compared the whole site with its contract, before it decoded anything.
        listed_ones = CONTRACT.read(beside["contract"][0])
        kept = contract.check_kept(site, settings.contract, outputs["index"].parent, samples, line)
        CONTRACT.write(pd.concat([listed_ones, kept]), paths["contract"])
        SHARDS.write(index, paths["index"])
    return line


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--site", required=True)
    parser.add_argument("--settings", required=True, help="JSON, see Merge")
    parser.add_argument("--shards", nargs="+", type=Path, required=True, help="arrays, in order")
    for name in OUTPUTS:
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args(argv)
    outputs = {name: getattr(arguments, name) for name in OUTPUTS}
    settings = read(arguments.settings, Merge)
    line = merge(arguments.site, settings, arguments.shards, outputs)
    print(line, file=sys.stderr)


if __name__ == "__main__":
    run(main)
