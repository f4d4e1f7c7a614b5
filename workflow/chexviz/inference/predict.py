"""Score radiographs with the model of a bundle: findings, remarks, and where they were seen.

PATH is a radiograph (DICOM, PNG or JPEG), a folder or a zip archive of them. Status 0: all were
read; 1: some were refused, and the others read; 2: nothing was begun.
"""

import csv
import os
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, Unreadable, run
from chexviz.base.files import replacing
from chexviz.base.progress import CLEAR, Progress
from chexviz.data.decoding.signature import JPEG, PNG, kind
from chexviz.data.workers import Workers
from chexviz.inference import answers, quality
from chexviz.inference.answers import Answer
from chexviz.inference.bundle import Bundle, open_bundle
from chexviz.inference.inputs import Inputs, Refused, Source, find
from chexviz.inference.reading import Read, content, crashed, read_chunk

CHUNK = 16  # radiographs a worker takes at once
WINDOW = 16 * CHUNK  # that are in memory at once, however many there are
YOUDEN = "youden"
Write = Callable[[Answer], None]
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
        from chexviz.inference.runtime import Runtime  # takes long to import, workers do not use it

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
        refused = [Answer(one.name, one.reason) for one in window if isinstance(one, Refused)]
        if refused:
            yield refused
        sources = [one for one in window if isinstance(one, Source)]
        chunks = [sources[first : first + CHUNK] for first in range(0, len(sources), CHUNK)]
        for chunk, reads in zip(chunks, workers.in_order(work, chunks, crashed), strict=True):
            yield [*model.answers(chunk, reads)]


# --- where answers go ----------------------------------------------------------------------------


def to_csv(path: Path, bundle: Bundle, stack: ExitStack) -> Write:
    """What writes answers as rows of a CSV, which has its name when all are written."""
    temporary = stack.enter_context(replacing(path))
    file = stack.enter_context(temporary.open("w", newline="", encoding="utf-8"))
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(answers.columns(bundle))

    def write(answer: Answer) -> None:
        writer.writerow(answers.row(answer, bundle))

    return write


def to_json_lines(path: Path, bundle: Bundle, stack: ExitStack) -> Write:
    """What writes answers as lines of JSON, likewise."""
    temporary = stack.enter_context(replacing(path))
    file = stack.enter_context(temporary.open("wb"))

    def write(answer: Answer) -> None:
        file.write(msgspec.json.encode(answers.record(answer, bundle)) + b"\n")

    return write


def predict(model: Model, inputs: Inputs, workers: Workers, arguments: Namespace) -> Counter[str]:
    """Answer all inputs, on the screen and in files. Returns how many were read and refused."""
    bundle, counts = model.bundle, Counter[str]()
    print("\n".join(answers.heading(bundle, model.point)), flush=True)
    with ExitStack() as stack:
        written = []
        for path, writer in ((arguments.csv, to_csv), (arguments.jsonl, to_json_lines)):
            if path:
                written.append(writer(path, bundle, stack))
        progress = stack.enter_context(
            Progress("predict", total=len(inputs.found), unit="radiograph")
        )
        for some in answered(model, inputs, workers):
            if progress.on_terminal:  # whose line would stand before the first of these
                print(end=CLEAR, file=sys.stderr, flush=True)
            for answer in some:
                print(answers.line(answer, bundle))
                for write in written:
                    write(answer)
                counts["refused" if answer.reason else "read"] += 1
            sys.stdout.flush()
            progress.step(len(some))
    print(answers.summary(counts, inputs.others))
    return counts


# --- the command ---------------------------------------------------------------------------------


def add_options(parser: ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the folder of a bundle")
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="radiographs")
    parser.add_argument("--csv", type=Path, metavar="OUT.csv", help="write a row for each")
    parser.add_argument("--jsonl", type=Path, metavar="OUT.jsonl", help="write a line for each")
    parser.add_argument(
        "--heatmaps", type=Path, metavar="DIR", help="write a PNG for each, with Grad-CAM maps"
    )
    parser.add_argument(
        "--dicom",
        type=Path,
        metavar="DIR",
        help="write DICOM objects for each DICOM file: a Secondary Capture, a segmentation, a "
        "structured report",
    )
    parser.add_argument(
        "--point",
        default=YOUDEN,
        metavar="NAME",
        help="the operating point at which a finding is called positive (%(default)s); the card "
        "names those of the bundle",
    )


def opened(arguments: Namespace) -> tuple[Bundle, Inputs]:
    """The bundle and the inputs of a command line. Raises InputError if it makes no sense."""
    inputs = find(arguments.paths)
    bundle = open_bundle(arguments.bundle)
    known = answers.points(bundle)
    if arguments.point not in [YOUDEN, *known]:
        raise InputError(
            f"--point {arguments.point}",
            expected=f"an operating point of the bundle: {', '.join(known) or 'it has none'}",
            found=arguments.point,
            fix="choose one of these",
        )
    if not inputs.found:
        raise InputError(
            " ".join(map(str, arguments.paths)),
            expected="a radiograph: DICOM, PNG or JPEG",
            found=f"{inputs.others} files of other kinds",
            fix="name a file or a folder with radiographs",
        )
    return bundle, inputs


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_options(parser)
    arguments = parser.parse_args(argv)
    try:
        bundle, inputs = opened(arguments)
    except InputError as error:
        print(f"ERROR {error}", file=sys.stderr)
        sys.exit(2)
    processes = min(len(os.sched_getaffinity(0)), 1 + len(inputs.found) // CHUNK)
    with Workers(processes) as workers:
        outputs = Outputs(arguments.heatmaps, arguments.dicom)
        model = Model(arguments.bundle, bundle, arguments.point, outputs)
        counts = predict(model, inputs, workers, arguments)
    if counts["refused"]:
        sys.exit(1)


if __name__ == "__main__":
    run(main)
