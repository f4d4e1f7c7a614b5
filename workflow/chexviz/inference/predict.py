"""Score radiographs with the model of a bundle: findings, remarks, and where they were seen.

PATH is a radiograph (DICOM, PNG or JPEG), a folder or a zip archive of them. Status 0: all were
read; 1: some were refused, and the others read; 2: nothing was begun.
"""

import csv
import os
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing
from chexviz.base.progress import CLEAR, Progress
from chexviz.data.workers import Workers
from chexviz.inference import answers
from chexviz.inference.answering import CHUNK, Model, Outputs, answered
from chexviz.inference.answers import Answer
from chexviz.inference.bundle import Bundle, open_bundle
from chexviz.inference.inputs import Inputs, find

YOUDEN = "youden"
Write = Callable[[Answer], None]


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
    for folder in (arguments.heatmaps, arguments.dicom):
        if folder:
            require_folder(folder)
    for file in (arguments.csv, arguments.jsonl):
        if file:
            require_folder(file.parent)
        if file and file.is_dir():
            raise InputError(file, expected="a file to write", found="a folder", fix="name a file")
    return bundle, inputs


def require_folder(folder: Path) -> None:
    """Make a folder that results go to, before any work is done. Raises InputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            folder,
            expected="a folder, or a place where one can be made",
            found=str(error.strerror),
            fix="name another folder",
        ) from error


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
