"""What files, folders and archives stand for, and archives that are not to be trusted."""

import os
import stat
import zipfile
from pathlib import Path

import pytest

from chexviz.base.errors import InputError
from chexviz.inference.bundle import Preprocessing
from chexviz.inference.inputs import Refused, Source, find
from chexviz.inference.reading import read, read_chunk
from made_dicoms import chest, write_dicom
from made_rasters import encoded

MADE = Preprocessing(size=32, fit="pad", max_pixels=10**6)
PNG = encoded(chest(1))


def names(inputs) -> list[str]:
    """The names of what was found."""
    return [one.name for one in inputs.found]


def zipped(path: Path, files: dict[str, bytes], **changes) -> Path:
    """An archive of files; changes: of their entries."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            for key, value in changes.items():
                setattr(entry, key, value)
            archive.writestr(entry, content)
    return path


def refused(path: Path) -> str:
    """Why an archive is refused, which is all that it stands for."""
    (one,) = find([path]).found
    assert isinstance(one, Refused)
    assert one.name == str(path)
    return one.reason


@pytest.fixture
def folder(tmp_path):
    """A folder with radiographs, one without a suffix, and other files."""
    place = tmp_path / "in"
    write_dicom(place / "b" / "two.dcm", chest(2))
    write_dicom(place / "b" / "IM0001", chest(3))
    (place / "a.png").write_bytes(PNG)
    (place / "notes.txt").write_text("nothing")
    (place / "._a.png").write_bytes(b"of macOS")
    write_dicom(place / "DICOMDIR", chest(4))
    return place


def test_a_folder_stands_for_its_radiographs_and_an_archive_too(folder):
    zipped(
        folder / "more.zip", {"x/c.jpg": encoded(chest(4), "JPEG"), "x/readme.md": b"", "d": PNG}
    )
    found = find([folder])
    wanted = ["a.png", "more.zip:x/c.jpg", "more.zip:d", "b/IM0001", "b/two.dcm"]
    assert names(found) == [f"{folder}/{name}" for name in wanted]
    assert found.others == 4
    assert all(read(one, MADE).image.shape == (32, 32) for one in found.found)


def test_what_a_user_names_is_tried_and_each_once(folder):
    file = folder / "notes.txt"
    found = find([file, file, folder])
    assert found.found[0] == Source(str(file), file)
    assert len(found.found) == 4
    assert read(found.found[0], MADE).reason == "not a DICOM file"


def test_an_archive_is_known_by_its_first_bytes(tmp_path):
    path = zipped(tmp_path / "export", {"a.png": PNG})
    assert names(find([path])) == [f"{path}:a.png"]
    assert names(find([zipped(tmp_path / "empty.zip", {})])) == []


def test_a_path_where_nothing_is_ends_it(tmp_path):
    with pytest.raises(InputError, match="expected: a file, a folder or a zip archive"):
        find([tmp_path / "absent"])


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.dcm")
    (one,) = find([tmp_path / "pipe.dcm"]).found
    assert one.reason == "not a file, but a pipe or a device"
    assert find([tmp_path]).others == 1


def test_links_to_folders_are_not_followed(folder):
    (folder / "b" / "again").symlink_to(folder)
    assert len(find([folder]).found) == 3


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "x/../../a.png", "c:/a.png", "..\\a.png"])
def test_a_path_out_of_an_archive_is_refused(tmp_path, name):
    assert "which leads out of the archive" in refused(zipped(tmp_path / "x.zip", {name: PNG}))


def test_links_in_an_archive_are_refused(tmp_path):
    linked = zipped(
        tmp_path / "x.zip", {"a.png": b"/etc/passwd"}, external_attr=(stat.S_IFLNK | 0o777) << 16
    )
    assert "which is a link or device" in refused(linked)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(12):
            with archive.open(f"{number}.dcm", "w") as file:
                for _ in range(100):
                    file.write(bytes(10**6))
    assert path.stat().st_size < 2 * 10**6
    assert "at most 100 times its own size" in refused(path)


def test_a_member_that_is_more_than_a_radiograph_can_be_is_refused(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a.dcm": bytes(5 * 10**7), "b.png": PNG})
    large, small = (read(one, MADE) for one in find([path]).found)
    assert large.reason.startswith("too large: more than ")
    assert small.image is not None


def test_an_archive_within_an_archive_is_not_opened(tmp_path):
    inner = zipped(tmp_path / "inner.zip", {"a.png": PNG}).read_bytes()
    path = zipped(tmp_path / "x.zip", {"inner.zip": inner, "b.png": PNG})
    first, second = find([path]).found
    assert first == Refused(f"{path}:inner.zip", "an archive within an archive: unpack it first")
    assert read(second, MADE).image is not None


def test_a_damaged_archive_is_refused_and_a_damaged_member_alone(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a.png": PNG, "b.png": PNG})
    content = bytearray(path.read_bytes())
    content[60] ^= 255
    path.write_bytes(content)
    first, second = read_chunk(find([path]).found, MADE)
    assert first.reason.startswith("expected a whole zip archive; found ")
    assert second.image is not None
    path.write_bytes(content[:-30])
    assert refused(path).startswith("expected a whole zip archive; found BadZipFile")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty: the file has 0 bytes"),
        (b"not an image at all", "not a DICOM file"),
        (b"GIF89a" + bytes(200), "not a radiograph that can be read: GIF"),
        (PNG[:-40], "truncated: the PNG ends before its last chunk"),
        (encoded(chest(1), "JPEG")[:-200], "damaged JPEG"),
    ],
)
def test_bad_files_are_told_why(tmp_path, content, reason):
    path = tmp_path / "x"
    path.write_bytes(content)
    done = read(Source("x", path), MADE)
    assert done.image is None
    assert done.reason.startswith(reason)


def test_colour_and_several_frames_are_told_why(tmp_path):
    colours = chest(1)[..., None].repeat(3, axis=2)
    colours[3, 3] = [255, 0, 0]
    (tmp_path / "colour.png").write_bytes(encoded(colours))
    assert "it has colours" in read(Source("x", tmp_path / "colour.png"), MADE).reason
    several = write_dicom(tmp_path / "x.dcm", chest(1, (64, 32)), NumberOfFrames=2, Rows=32)
    assert read(Source("x", several), MADE).reason == "not a single image: 2 frames"
    large = write_dicom(tmp_path / "y.dcm", chest(1, (1100, 1000)))
    assert read(Source("x", large), MADE).reason.startswith("too large: 1000 x 1100 pixels")
    cut = write_dicom(tmp_path / "z.dcm", chest(1))
    cut.write_bytes(cut.read_bytes()[:-100])
    assert "pixel data" in read(Source("x", cut), MADE).reason


def test_a_file_that_is_gone_or_withheld_is_told(tmp_path):
    reason = read(Source("x", tmp_path / "gone.dcm"), MADE).reason
    assert reason == "cannot be read: No such file or directory"


def test_what_a_file_says_of_itself_is_kept(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", chest(1, (40, 60)), jpeg=True, ViewPosition="ll")
    done = read(Source("x", path), MADE)
    assert (done.view, done.shape, done.lossy) == ("LL", (40, 60), True)
    plain = read(Source("x", write_dicom(tmp_path / "y.dcm", chest(1))), MADE)
    assert (plain.view, plain.lossy) == ("", False)
    said = read(
        Source("x", write_dicom(tmp_path / "z.dcm", chest(1), LossyImageCompression="01")), MADE
    )
    assert said.lossy
