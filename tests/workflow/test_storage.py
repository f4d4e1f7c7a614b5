"""Raw data from Snakemake's storage plugins: the web, a file system, S3."""

import contextlib
import functools
import http.server
import os
import threading
import zipfile
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from made_archives import zipped
from running import TINY

MANIFEST = "resources/demo/rsna/manifest.csv"
TARGET = ("--", MANIFEST)
FILES = {"stage_2_train_labels.csv": "patientId,Target\n", "deep/a.dcm": "1", "deep/b.dcm": "22"}
SECRETS = {"AWS_ACCESS_KEY_ID": "AKIATHEACCESSKEY", "AWS_SECRET_ACCESS_KEY": "the+secret/of+it"}
ENDPOINT = "SNAKEMAKE_STORAGE_S3_ENDPOINT_URL"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        """Say nothing of each request."""


@contextlib.contextmanager
def web(archive: Path, setenv):
    """The archive on a web server of this machine; gives its address, and how to update it."""
    handler = functools.partial(Quiet, directory=archive.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{archive.name}", lambda: None
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def s3(archive: Path, setenv):
    """The archive in a bucket on this machine, likewise; the environment has the credentials."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        for name, value in SECRETS.items():
            setenv(name, value)
        setenv(ENDPOINT, "http://{}:{}".format(*server.get_host_and_port()))
        client = boto3.client("s3", endpoint_url=os.environ[ENDPOINT], region_name="us-east-1")
        client.create_bucket(Bucket="radiographs")
        upload = functools.partial(client.upload_file, archive, "radiographs", "sites/chest.zip")
        upload()
        yield "s3://radiographs/sites/chest.zip", upload
    finally:
        server.stop()


@contextlib.contextmanager
def file_system(archive: Path, setenv):
    """The archive where it is, likewise."""
    yield str(archive), lambda: None


def of(workflow, *source: str):
    """The workflow with other sources of the site rsna."""
    workflow.configure(TINY | {"sites": {"rsna": {"source": list(source)}}})
    return workflow


@pytest.mark.parametrize("storage", [web, file_system, s3])
def test_a_site_comes_from_a_storage_and_comes_again_when_it_changes(
    workflow, tmp_path, monkeypatch, storage
):
    archive = zipped(tmp_path / "served" / "chest.zip", FILES)
    manifest, data = tmp_path / MANIFEST, (tmp_path / MANIFEST).with_name("data")
    with storage(archive, monkeypatch.setenv) as (address, update):
        said = of(workflow, f"storage:{address}").succeed(*TARGET)
        assert {name: (data / name).read_text() for name in FILES} == FILES
        assert len(manifest.read_text().splitlines()) == 1 + len(FILES)
        assert workflow.planned(*TARGET) == {}
        with zipfile.ZipFile(archive, "a") as opened:
            opened.writestr("deep/c.dcm", "333")
        update()
        said += workflow.succeed(*TARGET)
    assert "1 files added" in said
    assert (data / "deep" / "c.dcm").read_text() == "333"
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in kept if path.name == archive.name] == [archive]
    assert ".snakemake/metadata/" in " ".join(map(str, kept))
    for secret in SECRETS.values():
        assert secret not in said
        assert not [path for path in kept if secret.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("nowhere/chest.zip", "nothing is there"),
        ("http://127.0.0.1:1/chest.zip", "ConnectionError"),
        ("gopher://archive/chest.zip", "No storage provider found"),
        ("s3://radiographs/chest.zip", "Unable to locate credentials"),
    ],
)
def test_an_archive_that_cannot_be_had_is_told_before_any_job(
    workflow, tmp_path, monkeypatch, address, found
):
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    done = of(workflow, f"storage:{address}").run(*TARGET)
    assert done.returncode != 0
    assert f"config: sites: rsna: source: storage:{address}\n" in done.stdout
    assert found in done.stdout
    assert "snakemake-storage-plugin" in done.stdout
    assert not (tmp_path / "resources").exists()
