"""The images and labels of one site's subset, on the device that computes or streamed to it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from chexviz.base.errors import InputError
from chexviz.base.tables.study import SPLIT
from chexviz.images.arrays import gather, locate, open_images


@dataclass
class Images:
    """n images that lie in memory-mapped files, or also on the device once they are `resident`.

    stacks: uint8 (N, S, S) each. stack, position: int64 (n,), where each image lies.
    Both ways give the same bytes; streaming costs a copy to the device per batch.
    """

    stacks: list[np.ndarray]
    stack: np.ndarray
    position: np.ndarray
    device: torch.device
    pixels: Tensor | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.position)

    @property
    def nbytes(self) -> int:
        """What all images take on the device."""
        return len(self) * self.stacks[0][0].nbytes

    def make_resident(self) -> None:
        """Copy all images to the device, where they stay."""
        self.pixels = self.read(np.arange(len(self))).to(self.device)

    def read(self, indices: np.ndarray) -> Tensor:
        """Images (b, S, S) from the files, in host memory."""
        return torch.from_numpy(gather(self.stacks, self.stack[indices], self.position[indices]))

    def batches(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """The images (b, S, S) of each part (b,) of indices, on the device, uint8.

        The next batch is read from the files while the last one is worked on.
        """
        if self.pixels is not None:
            for part in parts:
                yield self.pixels[part]
            return
        if not parts:  # an epoch that was stopped after its last batch
            return
        indices = [part.cpu().numpy() for part in parts]
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self.read, indices[0])
            for following in [*indices[1:], None]:
                ready = coming.result()
                if following is not None:
                    coming = reader.submit(self.read, following)
                yield ready.to(self.device)


@dataclass
class Dataset:
    """A site's subset, or that of several sites pooled.

    heads: the sites whose task blocks the labels are for. labels: float32 (n, heads), 1, 0 or NaN
    (unknown). rows: the split's rows of the images, index 0 to n - 1.
    """

    site: str
    heads: list[str]
    images: Images
    labels: Tensor
    rows: pd.DataFrame

    def __len__(self) -> int:
        return len(self.labels)

    def in_order(self, size: int) -> tuple[Tensor, ...]:
        """All indices in order, in even batches of at most `size`, for Images.batches."""
        indices = torch.arange(len(self), device=self.labels.device)
        return indices.tensor_split(-(-len(self) // size))


def load_dataset(
    site: str, images: Path, split: Path, subsets: list[str], device: torch.device
) -> Dataset:
    """The images of a site that the split puts into `subsets`, in the order of the file.

    They stay in the file until they are made resident. Raises InputError if there are none.
    """
    (data,) = load_datasets([site], images, split, subsets, [device])
    return data


def load_datasets(
    sites: Sequence[str],
    images: Path,
    split: Path,
    subsets: list[str],
    devices: Sequence[torch.device],
) -> Iterator[Dataset]:
    """The datasets of several sites (see load_dataset), dealt to the devices in turn.

    images: of one site, or the list of the arrays of all. split: of one site, or of all.
    """
    table = SPLIT.read(split)
    table = table[table["subset"].isin(subsets)]
    rows_of = dict(list(table.groupby("site")))
    for number, site in enumerate(sites):
        if site not in rows_of:
            raise InputError(
                split,
                expected=f"images of site {site} in {' or '.join(subsets)}",
                found="none",
                fix="check that this split was made with this site",
            )
        yield subset_of(site, images, rows_of[site], devices[number % len(devices)])


def subset_of(site: str, images: Path, rows: pd.DataFrame, device: torch.device) -> Dataset:
    """The dataset of a site's `rows` of the split."""
    table = rows.sort_values("position", ignore_index=True)
    stacks = open_images(images, site)
    stack, position = locate(stacks, table["position"].to_numpy())
    labels = torch.tensor(table["label"].to_numpy(np.float32)).unsqueeze(1)
    return Dataset(
        site,
        [site],
        Images(stacks, stack, position, device),
        labels.to(device),
        table.drop(columns="position"),
    )


def pool(datasets: Sequence[Dataset]) -> Dataset:
    """All images in one dataset; an image has no label (NaN) for the heads of other sites."""
    images = [dataset.images for dataset in datasets]
    heads = [head for dataset in datasets for head in dataset.heads]
    labels = torch.full((sum(map(len, datasets)), len(heads)), torch.nan, device=images[0].device)
    row = column = 0
    for dataset in datasets:
        bottom, right = row + len(dataset), column + len(dataset.heads)
        labels[row:bottom, column:right] = dataset.labels
        row, column = bottom, right
    stacks = [stack for one in images for stack in one.stacks]
    firsts = np.cumsum([0, *(len(one.stacks) for one in images)])
    return Dataset(
        "+".join(heads),
        heads,
        Images(
            stacks,
            np.concatenate([one.stack + first for one, first in zip(images, firsts, strict=False)]),
            np.concatenate([one.position for one in images]),
            images[0].device,
        ),
        labels,
        pd.concat([dataset.rows for dataset in datasets], ignore_index=True),
    )


def to_unit(images: Tensor) -> Tensor:
    """uint8 (n, S, S) to float32 (n, 1, S, S) in [0, 1], what the models take."""
    return images.unsqueeze(1).float() / 255
