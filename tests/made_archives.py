"""Zip archives, for tests."""

import io
import zipfile


def zip_bytes(files: dict, method: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of {name or ZipInfo: bytes or text}."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def zipped(path, files: dict, method: int = zipfile.ZIP_STORED):
    """The same in a file; gives its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zip_bytes(files, method))
    return path
