"""DICOM results in an archive: Orthanc takes them from dcmtk's dcmsend, and gives them back."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from chexviz.inference import dicom_results
from made_dicom_results import LIKE_KAGGLE, UIDS, bundle_of, results
from made_dicoms import chest, write_dicom
from needed import absent

HOST = "127.0.0.1"
SECONDS = 30  # to start


class Archive(NamedTuple):
    """An Orthanc. port: of DICOM. web: of its REST API."""

    port: int
    web: httpx.Client


def free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture
def archive(tmp_path) -> Iterator[Archive]:
    """An Orthanc of this machine alone, with nothing in it."""
    program = shutil.which("Orthanc")
    if program is None or shutil.which("dcmsend") is None:
        absent("no archive: apt-get install orthanc dcmtk")
    port, web = free_port(), free_port()
    settings = {"DicomPort": port, "HttpPort": web, "StorageDirectory": str(tmp_path / "stored")}
    settings |= {"RemoteAccessAllowed": False, "AuthenticationEnabled": False, "Plugins": []}
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    with (tmp_path / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, tmp_path / "orthanc.json"], stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://{HOST}:{web}", trust_env=False) as client:
            wait_for(client, tmp_path / "orthanc.log")
            yield Archive(port, client)
    finally:
        process.terminate()
        process.wait(SECONDS)


def wait_for(client: httpx.Client, log: Path) -> None:
    """Until the archive answers."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            client.get("/system").raise_for_status()
            return
        except httpx.HTTPError:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)


def stored(archive: Archive) -> dict:
    """What the archive has, by SOP Instance UID, as it gives it to others."""
    found = {}
    for name in archive.web.get("/instances").json():
        content = archive.web.get(f"/instances/{name}/file").raise_for_status().content
        dataset = dcmread(DicomBytesIO(content))
        found[dataset.SOPInstanceUID] = dataset
    return found


def test_results_come_back_from_an_archive_beside_their_radiograph(tmp_path, archive):
    radiograph = write_dicom(tmp_path / "x.dcm", chest(1, (80, 60)), jpeg=True, **LIKE_KAGGLE)
    made = results(radiograph.read_bytes(), bundle_of())
    files = dicom_results.write(tmp_path / "dicom", "x", made)
    send = ["dcmsend", "--call", "ORTHANC", HOST, str(archive.port)]
    subprocess.run([*send, *map(str, [radiograph, *files])], check=True)
    back = stored(archive)
    assert len(back) == 4
    for path in files:
        sent = dcmread(path)
        assert back[sent.SOPInstanceUID] == sent
    (study,) = archive.web.get("/studies?expand").json()
    assert study["MainDicomTags"]["StudyInstanceUID"] == UIDS["StudyInstanceUID"]
    series = archive.web.get(f"/studies/{study['ID']}/series").json()
    assert len(series) == 4
    assert {one["MainDicomTags"].get("Modality") for one in series} >= {"OT", "SEG", "SR"}
