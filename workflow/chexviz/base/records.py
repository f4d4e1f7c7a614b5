"""Images that belong together: of one patient, or near-identical."""

import numpy as np
import pandas as pd

from chexviz.base.tables.study import PAIR


def positions(images: pd.DataFrame, pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Positions in `images` of both sides of the pairs whose two images are both there.

    images: columns site, image. pairs: near-identical images (duplicates.csv).
    """
    index = pd.MultiIndex.from_frame(images[["site", "image"]])
    one = index.get_indexer(pd.MultiIndex.from_frame(pairs[PAIR[:2]]))
    two = index.get_indexer(pd.MultiIndex.from_frame(pairs[PAIR[2:]]))
    both = (one >= 0) & (two >= 0)
    return one[both], two[both]


def groups(images: pd.DataFrame, pairs: pd.DataFrame) -> np.ndarray:
    """Numbers (n,) of the groups: images joined by a patient or by near-identity, and so on.

    images: columns site, image, patient. pairs: near-identical images (duplicates.csv).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    patients = pd.factorize(images["patient"])[0]
    first = pd.Series(range(len(images))).groupby(patients).transform("first").to_numpy()
    one, two = positions(images, pairs)
    rows, columns = np.r_[first, one], np.r_[np.arange(len(images)), two]
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(images), len(images)))
    return connected_components(graph, directed=False)[1]
