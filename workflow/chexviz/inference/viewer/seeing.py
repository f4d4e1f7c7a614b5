"""What the page's server does with a file: opened in a process of its own, then asked of models."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from chexviz.data.workers import Workers, how_ended
from chexviz.inference import answers, quality
from chexviz.inference.answering import Model
from chexviz.inference.inputs import Refused, Source
from chexviz.inference.reading import BYTES, HEADER, Read
from chexviz.inference.viewer.about import groups
from chexviz.inference.viewer.display import Opened, Picture, on_picture, open_chunk, refused
from chexviz.inference.viewer.sessions import Kept
from chexviz.inference.viewer.uploads import Upload


class Shown(NamedTuple):
    """What the page is told of a radiograph, and what is kept of it; None of one refused."""

    said: dict[str, Any]
    kept: Kept | None


class Viewer:
    """The models of the page. workers: a process that opens files. May be used by any thread."""

    def __init__(self, models: Sequence[Model], workers: Workers):
        self.models, self.workers = models, workers
        self.made = [model.bundle.preprocessing for model in models]
        self.opening, self.asking = Lock(), Lock()

    @property
    def most(self) -> int:
        """Bytes of a file."""
        return BYTES * min(one.max_pixels for one in self.made) + HEADER

    def see(self, upload: Upload | Refused) -> Shown:
        """What there is to see on a radiograph."""
        if isinstance(upload, Refused):
            return self.without(upload.name, upload.reason)
        opened = self.opened(upload.data)
        if opened.picture is None:
            return self.without(upload.name, opened.reads[0].reason)
        with self.asking:
            found = [
                asked(model, upload.name, read)
                for model, read in zip(self.models, opened.reads, strict=True)
            ]
        said = [
            one | {"groups": groups(model.bundle, read.view, opened.sex, opened.age)}
            for model, read, (one, _) in zip(self.models, opened.reads, found, strict=True)
        ]
        about = {"name": upload.name, "reason": "", "answers": said} | pixels_of(opened.picture)
        return Shown(about, Kept(opened.picture, [maps for _, maps in found]))

    def opened(self, data: bytes) -> Opened:
        """A file, opened by the worker process; one that ends it costs nothing but itself."""
        work = partial(open_chunk, made=self.made)
        with self.opening:
            [[opened]] = self.workers.in_order(work, [[data]], self.crashed)
        return opened

    def crashed(self, _: bytes, exitcode: int) -> Opened:
        """What became of a file that ended the process which did nothing but open it."""
        return refused(f"it ended the process that decoded it: {how_ended(exitcode)}", self.made)

    def without(self, name: str, reason: str) -> Shown:
        """A file that is no radiograph."""
        return Shown({"name": name, "reason": reason, "answers": []}, None)

    def heat(self, kept: Kept, model: int, finding: str) -> np.ndarray:
        """Where a model has seen a finding, uint8 on the pixels of the picture. Or KeyError."""
        place = kept.picture.places[model]
        return on_picture(kept.maps[model][finding], place, kept.picture)


def asked(model: Model, name: str, read: Read) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a model says of a radiograph, and its maps (h, w)."""
    bundle = model.bundle
    assert read.image is not None
    images = read.image[np.newaxis]
    seen = model.runtime.run(images, mapped=True)
    scores = {one.name: float(seen.scores[one.name, one.answer][0]) for one in bundle.findings}
    (likeness,) = quality.likeness(images, bundle.likeness)
    answer = model.answer(Source(name, Path()), read, scores, float(likeness))
    said = answers.record(answer, bundle)
    wanted = ("findings", "quality", "likeness", "view", "height", "width")
    maps = {name: values[0] for name, values in seen.maps.items()}
    return {key: said[key] for key in wanted}, maps


def pixels_of(picture: Picture) -> dict[str, Any]:
    """How the page has to read the pixels of a picture."""
    height, width = picture.pixels.shape
    return {"shown": [height, width], "bits": 8 * picture.pixels.itemsize}
