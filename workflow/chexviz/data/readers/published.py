"""What the tables of large published datasets share: usual names, people, views, boxes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import pandas as pd

from chexviz.base import user_tables
from chexviz.base.errors import InputError
from chexviz.data.readers.files import name_of, nesting, stem
from chexviz.data.readers.label_tables import check_findings, locate

FRONTAL = ("AP", "PA")


def bare(file: str) -> str:
    """The name of an image file, without folders and suffix."""
    return stem(name_of(file))


def finding_name(name: str) -> str:
    """What a dataset calls a finding as we write it: 'Nodule/Mass' is nodule_mass."""
    return re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")


def asked(reader: str, findings: Sequence[str], names: Iterable[str]) -> dict[str, str]:
    """The dataset's own name of each finding. names: all that it labels.

    Raises InputError if a finding is none of them.
    """
    known = {finding_name(name): name for name in names}
    check_findings(reader, findings, list(known))
    return {finding: known[finding] for finding in findings}


def usual_file(folder: Path, files: pd.DataFrame, names: Sequence[str]) -> Path | None:
    """The file of the first of these names that is there; None without any.

    A name counts anywhere in the tree, compressed or not, and several times if all are the same
    file. Raises InputError if they differ.
    """
    for name in names:
        found = files[files["file"].map(name_of).isin([name, f"{name}.gz"])]
        if found["sha256"].nunique() > 1:
            raise InputError(
                folder,
                expected=f"one file {name}",
                found=f"different ones: {', '.join(found['file'])}",
                fix="remove all but one of them; of label tables, name it in `labels` of the site",
            )
        if len(found):
            return folder / found["file"].sort_values(key=nesting).iloc[0]
    return None


def usual_files(folder: Path, files: pd.DataFrame, names: Sequence[str]) -> list[Path]:
    """The file of each of these names that is there."""
    return [path for name in names if (path := usual_file(folder, files, [name]))]


def required_file(folder: Path, files: pd.DataFrame, names: Sequence[str], fix: str) -> Path:
    """A usual file that a dataset cannot be read without. Raises InputError if it is absent."""
    path = usual_file(folder, files, names)
    if path is None:
        wanted = " or ".join(names)
        raise InputError(folder, expected=f"{wanted} (or .gz)", found="no such file", fix=fix)
    return path


def label_table(folder: Path, files: pd.DataFrame, option: str | None, *usual: str) -> Path:
    """The label table of a site: the one that the config names, or the first of the usual ones.

    Either counts anywhere in the tree. Raises InputError if there is none.
    """
    if option:
        anywhere = not (folder / option).is_file() and usual_file(folder, files, [option])
        return anywhere or locate(folder, option)
    fix = "name the table in `labels` of the site in the config"
    return required_file(folder, files, usual, fix)


def label_tables(
    folder: Path, files: pd.DataFrame, option: str | None, usual: Mapping[str, Sequence[str]]
) -> dict[str, Path]:
    """The label tables of a site by subset: the one that the config names, or all usual ones.

    usual: what they are called, by subset; the first name that is there counts. The subset of a
    table under another name is ''. Raises InputError if there is none.
    """
    if option:
        path = label_table(folder, files, option)
        name = path.name.removesuffix(".gz")
        return {next((subset for subset, names in usual.items() if name in names), ""): path}
    found = {subset: usual_file(folder, files, names) for subset, names in usual.items()}
    tables = {subset: path for subset, path in found.items() if path}
    return tables or {"": label_table(folder, files, None, *chain(*usual.values()))}


def refuse(path: Path, wrong: pd.Series, expected: str) -> None:
    """Raise InputError, naming the first, if there are wrong values. wrong: by row."""
    if len(wrong):
        raise InputError(
            f"{path}, row {wrong.index[0]}",
            expected=expected,
            found=f"{wrong.iloc[0]!r} ({len(wrong)} such rows)",
            fix="correct the row, or get the published table again",
        )


def check_once(path: Path, images: pd.Series) -> None:
    """Raise InputError, naming the first, if images have several rows. images: by row."""
    refuse(path, images[images.duplicated()], "one row an image")


def prefixed(dataset: str, ids: pd.Series) -> pd.Series:
    """Patients as 'dataset-id', as other datasets count from 1, too; '' where nobody is known."""
    known = user_tables.known(ids)
    return (f"{dataset}-" + known).mask(known == "", "")


def not_frontal(views: pd.Series) -> pd.Series:
    """Why an image is not taken, by its view; '' if it is a frontal one."""
    why = "not a frontal view: " + views.replace("", "unknown")
    return why.mask(views.isin(FRONTAL), "")
