"""Tables of boxes and masks: what their cells mean, and those that a hospital brings."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from chexviz.base import user_tables
from chexviz.base.errors import InputError
from chexviz.base.tables.sites import LUNGS
from chexviz.data.readers import coco
from chexviz.data.readers.files import spelling, stem
from chexviz.data.readers.label_tables import letters
from chexviz.data.readers.listing import BOX, Options, no_boxes, no_runs
from chexviz.data.readers.named_files import meanings
from chexviz.images import run_lengths

CORNERS = ["x_min", "y_min", "x_max", "y_max"]
NO_MASK = "-1"  # or an empty cell
Size = tuple[int, int]


def read_annotations(
    path: Path, folder: Path, records: pd.DataFrame, options: Options
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Size]]:
    """A hospital's annotations, a table or COCO's JSON, to boxes, runs and sizes: see Listing.

    A row has a box, a mask, both or none. Raises InputError if the table says neither, names none
    of the images or not of which finding a row is, or has a row that is no box or mask.
    """
    table = coco.read(path) if coco.is_json(path) else user_tables.read(path, [])
    file = next((name for name in (options.columns.file, "file", "image") if name in table), None)
    form = next((form for form in (BOX, CORNERS) if set(form) <= set(table)), [])
    masks = [column for column in MASKS if column in table][:1]
    if file is None or not form + masks:
        forms = " or ".join(", ".join(form) for form in (BOX, CORNERS, *([name] for name in MASKS)))
        raise InputError(
            path,
            expected=f"a column file or image, and {forms}",
            found=", ".join(table.columns),
            fix="check `annotations` of the site in the config, and name the columns so",
        )
    drawn = table[form + masks].apply(user_tables.known).replace(NO_MASK, "") != ""
    drawn = drawn[drawn.any(axis=1)]
    table = table.loc[drawn.index]
    table = table.assign(
        image=images_named(path, table[file], folder, records),
        finding=findings_named(path, table, options),
    )
    ours = (table["image"] != "") & (table["finding"] != "")
    boxed, masked = (table[ours & drawn[columns].any(axis=1)] for columns in (form, masks))
    boxes = boxes_of(path, boxed, form) if form else no_boxes()
    return boxes, *(masks_of(path, masked, masks[0]) if masks else (no_runs(), {}))


def images_named(path: Path, names: pd.Series, folder: Path, records: pd.DataFrame) -> list[str]:
    """The image of each row, named by its file, as in the label table, or by its id; '' if lost.

    Or as CheXlocalize names files of CheXpert. Raises InputError if none is found, and says it if
    some are not.
    """
    different = names.drop_duplicates()
    files = meanings(path, different, folder, records["file"])
    by_file = dict(zip(records["file"], records["image"], strict=True))
    by_id = dict(zip(records["image"].map(spelling), records["image"], strict=True))
    by_parts = records["image"].set_axis(records["file"].map(coco.joined).map(spelling))
    by_id = by_parts[~by_parts.index.duplicated(keep=False)].to_dict() | by_id
    found = {
        name: by_file.get(file) or by_id.get(spelling(stem(name)), "")
        for name, file in zip(different, files, strict=True)
    }
    lost = [name for name, image in found.items() if not image]
    if lost and len(lost) == len(found):
        raise InputError(
            path,
            expected=f"annotations of the site's {len(records)} images, or of some of them",
            found=f"none: it names {lost[0]!r}, and the first image is "
            f"{records['image'].iloc[0]!r}, the file {records['file'].iloc[0]!r}",
            fix="check `annotations` of the site in the config, and how the table names images",
        )
    if lost:
        user_tables.remark(
            f"{path}: {len(lost)} of its {len(found)} images are none of the site's, such as "
            f"{lost[0]!r}; they are left out"
        )
    return [found[name] for name in names]


def findings_named(path: Path, table: pd.DataFrame, options: Options) -> pd.Series:
    """The finding of each row, by any spelling of its name or of its column; '' if not the site's.

    That of a lung mask is LUNGS. One that a row does not say is the site's only one. Raises
    InputError if it has several.
    """
    said = user_tables.known(table.get("finding", pd.Series("", table.index))).map(letters)
    ours = {letters(name): name for name in [*options.findings, LUNGS]}
    ours |= {letters(options.columns.findings.get(name, name)): name for name in options.findings}
    if len(options.findings) == 1:
        ours[""] = options.findings[0]
    elif (said == "").any():
        raise InputError(
            f"{path}, row {said.index[said == ''][0]}",
            expected=f"a column finding, that says of which it is: {', '.join(options.findings)}",
            found="an empty cell" if "finding" in table else f"no such column: {', '.join(table)}",
            fix="say it in every row that has a box or a mask",
        )
    others = table.loc[~said.isin(ours), "finding"] if "finding" in table else said[:0]
    if len(others):
        counts = ", ".join(f"{count} of {name}" for name, count in others.value_counts().items())
        user_tables.remark(f"{path}: annotations of other findings are left out: {counts}")
    return said.map(ours).fillna("")


def boxes_of(path: Path, table: pd.DataFrame, form: list[str] = BOX) -> pd.DataFrame:
    """Rows of image, finding and a box to image, finding, x, y, width, height.

    form: the columns of the box: BOX or CORNERS. Raises InputError naming the first row that is no
    box.
    """
    numbers = table[form].apply(pd.to_numeric, errors="coerce").set_axis(BOX, axis=1)
    if form == CORNERS:
        numbers["width"] -= numbers["x"]
        numbers["height"] -= numbers["y"]
    wrong = numbers[numbers.isna().any(axis=1) | (numbers[["width", "height"]] <= 0).any(axis=1)]
    if len(wrong):
        raise InputError(
            f"{path}, row {wrong.index[0]}",
            expected=f"a box of numbers in {', '.join(form)}, wider and higher than 0",
            found=", ".join(table.loc[wrong.index[0], form]),
            fix="correct the row, or get the table again",
        )
    return table[["image", "finding"]].join(numbers).reset_index(drop=True)


def masks_of(path: Path, table: pd.DataFrame, column: str) -> tuple[pd.DataFrame, dict[str, Size]]:
    """Rows of image, finding and a mask to image, finding, runs; and the sizes of images by it.

    column: of the mask: one of MASKS. The masks of an image and a finding become one. Raises
    InputError naming a row that has no mask, or one of another size than the mask before it.
    """
    parse, expected = MASKS[column]
    found: list[str] = []
    sizes: dict[str, Size] = {}
    for row, image, cell in zip(table.index, table["image"], table[column], strict=True):
        try:
            runs, size = parse(cell)
            if size and sizes.setdefault(image, size) != size:
                raise ValueError(f"masks of {sizes[image]} and {size} pixels on {image}")
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{path}, row {row}",
                expected=f"{column}: {expected}",
                found=str(error),
                fix="correct the row, or get the table again",
            ) from None
        found.append(runs)
    masks = table[["image", "finding"]].assign(runs=pd.Series(found, table.index, dtype=str))
    masks = masks.groupby(["image", "finding"], sort=False)["runs"].agg(" ".join)
    return masks.reset_index(), sizes


def relative_mask(cell: str) -> tuple[str, None]:
    """SIIM's run lengths as absolute runs. Raises ValueError if they are none."""
    if not cell:
        raise ValueError("an empty cell")
    return run_lengths.absolute(cell), None


def coco_mask(cell: str) -> tuple[str, Size]:
    """COCO's JSON as absolute runs, and height and width. Raises ValueError if it is none."""
    return run_lengths.from_coco(json.loads(cell))


# Columns of masks, with what reads a cell and what that expects.
MASKS: dict[str, tuple[Callable[[str], tuple[str, Size | None]], str]] = {
    "EncodedPixels": (relative_mask, "-1, or run lengths 'gap length gap length ...'"),
    "segmentation": (coco_mask, "JSON as COCO has it, with one size an image"),
}
