"""What drawn sites hold in truth, for tests of what finds duplicates and leakage."""

import pandas as pd

from chexviz.data.phantom.item import patient_id, radiograph_id
from chexviz.data.phantom.population import plan


def planted(layout: str, **size: int) -> pd.DataFrame:
    """What a site's images are in truth. size: as for `plan`.

    Columns: image (as the layout names it), file, labelled, patient (nih-NNNNN), radiograph. Within
    a site and across sites of one seed, images with equal `radiograph` are near-identical and no
    others are; images with equal `patient` show the same person.
    """
    rows = [
        (item.image, item.file, item.labelled, patient_id(item.exam), radiograph_id(item.exam))
        for item in plan(layout, **size)
    ]
    return pd.DataFrame(rows, columns=["image", "file", "labelled", "patient", "radiograph"])
