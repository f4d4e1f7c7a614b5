"""The images and labels of one site's subset, on the device that computes or streamed to it."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from chexviz.base.errors import InputError
from chexviz.base.tables.models import SHARED
from chexviz.base.tables.sites import LABEL
from chexviz.base.tables.study import SPLIT
from chexviz.images.arrays import gather, locate, open_images
from chexviz.models.model import Heads


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


class Known(Protocol):
    """What is known of a site's images without seeing them.

    size: how many there are. known: of which of its findings it has any label.
    """

    @property
    def size(self) -> int: ...

    @property
    def known(self) -> Sequence[bool]: ...


@dataclass
class Dataset:
    """A site's subset, or that of several sites pooled.

    heads: the heads that learn from the labels, and the findings of each. labels: float32 (n, F) of
    all of these findings, 1, 0 or NaN (unknown). rows: the split's rows of the images, index 0 to
    n - 1.
    """

    site: str
    heads: Heads
    images: Images
    labels: Tensor
    rows: pd.DataFrame

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> int:
        return len(self)

    @property
    def known(self) -> list[bool]:
        return (~torch.isnan(self.labels)).any(dim=0).tolist()

    def in_order(self, size: int) -> tuple[Tensor, ...]:
        """All indices in order, in even batches of at most `size`, for Images.batches."""
        indices = torch.arange(len(self), device=self.labels.device)
        return indices.tensor_split(-(-len(self) // size))


def load_datasets(
    sites: Heads,
    images: Path,
    split: Path,
    subsets: list[str],
    devices: Sequence[torch.device],
) -> Iterator[Dataset]:
    """The images of sites that the split puts into `subsets`, dealt to the devices in turn.

    sites: the findings that each labels; each has a head of its own. images: of one site, or the
    list of the arrays of all; they stay in their files until they are made resident. split: of one
    site, or of all. Raises InputError if a site has no such images, or none of a finding's labels.
    """
    table = SPLIT.read(split)
    table = table[table["subset"].isin(subsets)]
    rows_of = dict(list(table.groupby("site")))
    for number, (site, findings) in enumerate(sites.items()):
        if site not in rows_of:
            raise InputError(
                split,
                expected=f"images of site {site} in {' or '.join(subsets)}",
                found="none",
                fix="check that this split was made with this site",
            )
        unlabelled = [name for name in findings if f"{LABEL}{name}" not in table]
        if unlabelled:
            raise InputError(
                split,
                expected=f"a column label_{unlabelled[0]}, which site {site} labels",
                found=", ".join(table.columns),
                fix="make the split again, with the findings that the config names",
            )
        yield subset_of(site, findings, images, rows_of[site], devices[number % len(devices)])


def subset_of(
    site: str, findings: Sequence[str], images: Path, rows: pd.DataFrame, device: torch.device
) -> Dataset:
    """The dataset of a site's `rows` of the split."""
    table = rows.sort_values("position", ignore_index=True)
    stacks = open_images(images, site)
    stack, position = locate(stacks, table["position"].to_numpy())
    labels = torch.tensor(table[[f"{LABEL}{one}" for one in findings]].to_numpy(np.float32))
    return Dataset(
        site,
        {site: list(findings)},
        Images(stacks, stack, position, device),
        labels.to(device),
        table.drop(columns="position"),
    )


def share(datasets: Sequence[Dataset]) -> list[Dataset]:
    """The datasets with one head for all, of every finding that any of them labels."""
    own = [one for data in datasets for known in data.heads.values() for one in known]
    return [with_shared_head(data, dict.fromkeys(own)) for data in datasets]


def with_shared_head(data: Dataset, findings: Iterable[str]) -> Dataset:
    """The dataset with one head, of all sites' findings.

    What a site does not label is unknown (NaN) of its images, which is not the same as negative.
    """
    every = list(findings)
    known = [one for own in data.heads.values() for one in own]
    labels = torch.full((len(data), len(every)), torch.nan, device=data.labels.device)
    labels[:, [every.index(one) for one in known]] = data.labels
    return replace(data, heads={SHARED: every}, labels=labels)


def pool(datasets: Sequence[Dataset]) -> Dataset:
    """All images in one dataset, with one head for all; see `share`."""
    datasets = share(datasets)
    images = [dataset.images for dataset in datasets]
    stacks = [stack for one in images for stack in one.stacks]
    firsts = np.cumsum([0, *(len(one.stacks) for one in images)])
    return Dataset(
        "+".join(dataset.site for dataset in datasets),
        datasets[0].heads,
        Images(
            stacks,
            np.concatenate([one.stack + first for one, first in zip(images, firsts, strict=False)]),
            np.concatenate([one.position for one in images]),
            images[0].device,
        ),
        torch.cat([dataset.labels.to(images[0].device) for dataset in datasets]),
        pd.concat([dataset.rows for dataset in datasets], ignore_index=True),
    )


def to_unit(images: Tensor) -> Tensor:
    """uint8 (n, S, S) to float32 (n, 1, S, S) in [0, 1], what the models take."""
    return images.unsqueeze(1).float() / 255
