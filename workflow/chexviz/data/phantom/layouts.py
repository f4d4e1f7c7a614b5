"""All layouts in which a site can be drawn, by the name of the reader that reads them."""

from chexviz.base.errors import InputError
from chexviz.data.phantom import chexpert, nih, rsna, siim, table, vindr
from chexviz.data.phantom.layout import Layout

LAYOUTS: dict[str, Layout] = {
    "rsna": rsna.LAYOUT,
    "siim": siim.LAYOUT,
    "nih": nih.LAYOUT,
    "chexpert": chexpert.LAYOUT,
    "vindr": vindr.LAYOUT,
    "table": table.LAYOUT,
}


def layout_of(reader: str) -> Layout:
    """The layout that a reader reads. Raises InputError if there is none to be drawn."""
    if reader not in LAYOUTS:
        raise InputError(
            f"phantom layout {reader}",
            expected=", ".join(LAYOUTS),
            found=reader,
            fix="correct `reader` of the site in the config",
        )
    return LAYOUTS[reader]
