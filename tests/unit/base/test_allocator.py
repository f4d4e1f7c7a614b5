"""Too little memory is no fault of a file: decoding in processes that have a given rest of it."""

import io
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate

from chexviz.base.allocator import require_room
from made_dicoms import chest, compress, write_dicom
from made_rasters import encoded

SHAPE = (512, 480)
LEFT = [0.5, 2, 4, 6, 7, 9, 16]  # MiB; what is asked for is 7.5
SYNTAXES = ["JPEG2000Lossless", "JPEGLSLossless", "JPEGLosslessProcess14_1", "RLELossless"]


def left_with(data, amount):
    """What becomes of a file in a child process with `amount` MiB: read, no memory, or a fault."""
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        resource.setrlimit(resource.RLIMIT_AS, (2**28, 2**28))
        signal.alarm(60)
        held = []
        try:
            while True:
                held.append(np.empty(2**17, np.uint8))
        except MemoryError:
            del held[-int(8 * amount) :]
        os._exit(outcome(data))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {0: "read", 1: "no memory"}.get(status, f"fault {status}")


def outcome(data):
    from chexviz.data.decoding.radiograph import radiograph

    try:
        radiograph(data)
    except MemoryError:
        return 1
    except BaseException:
        return 2
    return 0


def main(paths):
    from chexviz.data.decoding.radiograph import radiograph

    for path in paths:
        radiograph(Path(path).read_bytes())  # what is loaded once is there
    for path in paths:
        data = Path(path).read_bytes()
        print(*(left_with(data, amount) for amount in LEFT), sep=",")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of 16 bits in the compressions of GDCM, a progressive JPEG, and files without DICOM."""
    folder = tmp_path_factory.mktemp("files")
    noise = np.random.default_rng(1).integers(0, 256, SHAPE, dtype=np.uint16)
    deep = chest(1, SHAPE).astype(np.uint16) * 256 + noise
    for syntax in SYNTAXES:
        compress(write_dicom(folder / f"{syntax}.dcm", deep), syntax)
    path = write_dicom(folder / "progressive.dcm", chest(1, SHAPE), jpeg=True)
    dataset, buffer = dcmread(path), io.BytesIO()
    Image.fromarray(chest(1, SHAPE)).save(buffer, "JPEG", progressive=True)
    dataset.PixelData = encapsulate([buffer.getvalue()])
    dataset.save_as(path)
    (folder / "deep.png").write_bytes(encoded(deep))
    for name, mode in (("grey.png", "L"), ("opaque.png", "LA"), ("colours.png", "RGBA")):
        (folder / name).write_bytes(encoded(chest(1, SHAPE), mode=mode))
    (folder / "colours.jpg").write_bytes(encoded(chest(1, SHAPE), "JPEG", mode="RGB"))
    return sorted(folder.iterdir())


def test_a_healthy_file_is_read_or_wants_memory_and_is_never_called_damaged(files):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    program = "import sys, test_allocator; test_allocator.main(sys.argv[1:])"
    line = [sys.executable, "-c", program, *map(str, files)]
    said = subprocess.run(line, capture_output=True, text=True, check=True, env=environment)
    outcomes = [row.split(",") for row in said.stdout.splitlines()]
    assert len(outcomes) == len(files) == 10
    for path, found in zip(files, outcomes, strict=True):
        assert set(found) == {"read", "no memory"}, (path.name, found)
        assert (found[0], found[-1]) == ("no memory", "read")


def test_room_for_more_than_any_machine_has_is_refused():
    require_room(2048, 2048)
    with pytest.raises(MemoryError):
        require_room(2**24, 2**24)
