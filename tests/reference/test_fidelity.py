"""The images of 734 real radiographs against full decoding and Pillow's antialiased resize."""

import hashlib
import zipfile

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from chexviz.data.convert import Task, convert
from chexviz.data.decoding.plain_jpeg import plain_jpeg

RADIOGRAPHS = 734


@pytest.fixture(scope="module")
def files(real_data):
    """The bytes of every real radiograph of 8-bit baseline JPEG."""
    hospital = [path.read_bytes() for path in sorted((real_data / "hospital-mini").rglob("*.dcm"))]
    [archive] = (real_data / "rsna-mini").glob("*.zip")
    with zipfile.ZipFile(archive) as rsna:
        names = sorted(name for name in rsna.namelist() if name.endswith(".dcm"))
        return hospital + [rsna.read(name) for name in names]


@pytest.fixture(scope="module")
def whole(files, tmp_path_factory):
    """The same, decoded by pydicom with Pillow, (1024, 1024) each: given one at a time."""
    path = tmp_path_factory.mktemp("whole") / "x.dcm"

    def decode(data):
        path.write_bytes(data)
        dataset = dcmread(path)
        dataset.pixel_array_options(decoding_plugin="pillow")
        return dataset.pixel_array

    return decode


def test_all_of_them_are_different_and_take_the_fast_path(files):
    assert len(files) == RADIOGRAPHS
    # One image is in both datasets, under another name and with other tags.
    assert len({hashlib.sha256(data).digest() for data in files}) == RADIOGRAPHS
    assert all(plain_jpeg(data) for data in files)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_images_are_those_of_full_decoding(files, whole):
    task, sizes = Task(0, None, "a", [], ""), (224, 64)
    means, within = {size: [] for size in sizes}, {size: [] for size in sizes}
    for data in files:
        full = Image.fromarray(whole(data))
        for size in sizes:
            image, _, _ = convert(data, task, size, "pad", 36_000_000)
            exact = np.asarray(full.resize((size, size), Image.Resampling.BILINEAR))
            difference = np.abs(image.astype(int) - exact)
            means[size].append(difference.mean())
            within[size].append((difference <= 8).mean())
    for size in sizes:
        assert max(means[size]) <= 1
        assert min(within[size]) >= 0.999
