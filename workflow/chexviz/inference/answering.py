"""What a model answers to radiographs, some at a time, and the files of each answer."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chexviz.base.errors import Unreadable
from chexviz.data.decoding.signature import JPEG, PNG, kind
from chexviz.data.workers import Workers
from chexviz.inference import answers, quality
from chexviz.inference.answers import Answer
from chexviz.inference.bundle import Bundle
from chexviz.inference.inputs import Inputs, Refused, Source
from chexviz.inference.reading import Read, content, crashed, read_chunk

CHUNK = 16  # radiographs a worker takes at once
WINDOW = 16 * CHUNK  # that are in memory at once, however many there are
Maps = Mapping[str, np.ndarray]  # (h, w) of each finding


class Outputs(NamedTuple):
    """The folders that results of a radiograph go to; None where there are none.

    heatmaps: of pictures. dicom: of DICOM objects.
    """

    heatmaps: Path | None
    dicom: Path | None

    @property
    def mapped(self) -> bool:
        """Whether maps are needed."""
        return self != (None, None)


class Model:
    """A bundle's model with what is chosen for this run. point: the name of the operating point."""

    def __init__(self, folder: Path, bundle: Bundle, point: str, outputs: Outputs):
        from chexviz.inference.runtime import Runtime  # takes long: the workers start meanwhile

        self.runtime, self.bundle = Runtime.of(folder, bundle), bundle
        self.point, self.outputs = point, outputs
        if outputs.mapped:
            from chexviz.inference.heatmaps import Names

            self.names = Names()

    def answers(self, sources: list[Source], reads: list[Read]) -> Iterator[Answer]:
        """What the model says of some radiographs, in their order; those refused among them."""
        images = [one.image for one in reads if one.image is not None]
        if images:
            stacked = np.stack(images)
            seen = self.runtime.run(stacked, mapped=self.outputs.mapped)
            scores = quality.likeness(stacked, self.bundle.likeness)
        place = 0
        for source, one in zip(sources, reads, strict=True):
            if one.image is None:
                yield Answer(source.name, one.reason)
                continue
            known = {
                finding.name: float(seen.scores[finding.name, finding.answer][place])
                for finding in self.bundle.findings
            }
            answer = self.answer(source, one, known, float(scores[place]))
            if self.outputs.mapped:
                maps = {name: values[place] for name, values in seen.maps.items()}
                answer = self.with_files(source, answer, one.image, maps)
            yield answer
            place += 1

    def answer(self, source: Source, one: Read, scores: dict[str, float], like: float) -> Answer:
        """What is said of a radiograph that was read. scores: by finding."""
        bundle = self.bundle
        size = bundle.preprocessing.size
        words = quality.words(one.view, one.shape, one.lossy, like, size, bundle.likeness)
        findings = {
            finding.name: answers.told(finding, scores[finding.name], self.point)
            for finding in bundle.findings
        }
        return Answer(source.name, "", findings, one.view, one.shape, like, words)

    def with_files(self, source: Source, answer: Answer, image: np.ndarray, maps: Maps) -> Answer:
        """The same with the files that are wanted of it: its picture, its DICOM objects."""
        name = self.names.of(answer.name)
        if self.outputs.heatmaps:
            from chexviz.inference import heatmaps

            path = self.outputs.heatmaps / f"{name}.png"
            heatmaps.save(path, image, maps, answer, self.bundle)
            answer = answer._replace(heatmap=str(path))
        if self.outputs.dicom:
            answer = self.with_dicom(source, name, answer, image, maps)
        return answer

    def with_dicom(
        self, source: Source, name: str, answer: Answer, image: np.ndarray, maps: Maps
    ) -> Answer:
        """The same with its DICOM objects, or the remark why there are none."""
        from chexviz.inference import dicom_results
        from chexviz.inference.dicom_source import source_dataset

        limits = self.bundle.preprocessing
        try:
            data = content(source, limits)
            if kind(data) in (PNG, JPEG):
                raise Unreadable(f"it is a {kind(data)} file")
            about = source_dataset(data, limits.max_pixels)
            made = dicom_results.objects(about, image, maps, answer, self.bundle)
        except (OSError, MemoryError):
            raise
        # Headers of files break the standard in ways that no list covers.
        except Exception as error:
            why = " ".join(str(error).split())[:200]
            return answer._replace(quality=[*answer.quality, f"no DICOM results: {why}"])
        assert self.outputs.dicom is not None
        paths = dicom_results.write(self.outputs.dicom, name, made)
        return answer._replace(dicom=[str(path) for path in paths])


def answered(model: Model, inputs: Inputs, workers: Workers) -> Iterator[list[Answer]]:
    """The answers to all inputs, some at a time, in their order.

    Radiographs are read in processes, a window of them after the other, so that the memory is the
    same for any number.
    """
    work = partial(read_chunk, made=model.bundle.preprocessing)
    for start in range(0, len(inputs.found), WINDOW):
        window = inputs.found[start : start + WINDOW]
        chunks = [window[first : first + CHUNK] for first in range(0, len(window), CHUNK)]
        asked = [[one for one in chunk if isinstance(one, Source)] for chunk in chunks]
        read = workers.in_order(work, asked, crashed)
        for chunk, sources, reads in zip(chunks, asked, read, strict=True):
            told = model.answers(sources, reads)
            yield [
                Answer(one.name, one.reason) if isinstance(one, Refused) else next(told)
                for one in chunk
            ]
