"""Join what sites share of their evaluations to the tables of one study, as if of one machine.

Holm's correction is made anew, over the comparisons of all sites.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing_all
from chexviz.evaluation.disclosure import TABLES
from chexviz.evaluation.evaluate import correct


def read_shared(name: str, folders: Mapping[str, Path]) -> pd.DataFrame:
    """A table of all sites together; without those that share none of this name.

    folders: of what each site shares. Raises InputError if a site speaks of another one.
    """
    tables = []
    for site, folder in folders.items():
        path = folder / f"{name}.csv"
        if not path.is_file() and name != "metrics":
            continue
        table = TABLES[name].read(path)
        strange = table.loc[table["site"] != site, "site"]
        if len(strange):
            raise InputError(
                path,
                expected=f"rows of the site {site} alone",
                found=f"{len(strange)} others, e.g. of {strange.iloc[0]}",
                fix="ask the site for the tables that its own evaluation shares",
            )
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else TABLES[name].frame([])


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--site", nargs="+", required=True)
    parser.add_argument(
        "--share", nargs="+", required=True, type=Path, metavar="FOLDER", help="of each site"
    )
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER")
    arguments = parser.parse_args(argv)
    folders = dict(zip(arguments.site, arguments.share, strict=True))
    joined = {name: read_shared(name, folders) for name in TABLES}
    joined["comparisons"] = correct(joined["comparisons"], set())
    paths = {name: arguments.output / f"{name}.csv" for name in joined}
    with replacing_all(paths) as temporaries:
        for name, table in joined.items():
            TABLES[name].write(table, temporaries[name])


if __name__ == "__main__":
    run(main)
