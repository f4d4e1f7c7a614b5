"""The documented reader and source: laid beside ours, they fetch and read a small site."""

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pandas as pd
import pytest
from test_preprocess import NAMES, arguments

from chexviz.data.download import main as download
from chexviz.data.preprocess import main as preprocess
from chexviz.data.readers.registry import READERS
from chexviz.data.sources.registry import SOURCES, missing
from documented import example
from made_archives import zip_bytes
from made_dicoms import chest, make_manifest, write_dicom

TABLE = """image_id,person,projection,Pleural effusion,Pneumonia
a,7,PA,-1,1
b,NA,ap,1,0
lost,7,,0,0
"""


def test_a_reader_is_one_file(tmp_path, monkeypatch):
    monkeypatch.setitem(READERS, "teaching", example("A dataset reader", "teaching").read)
    data = tmp_path / "data"
    for number, name in enumerate(("one/a", "one/b", "two/c")):
        write_dicom(data / f"{name}.dcm", chest(number))
    (data / "image_labels.csv").write_text(TABLE)
    make_manifest(data)
    findings = ["pneumonia", "pleural_effusion"]
    settings = {"reader": "teaching", "findings": findings, "uncertain": "ignore"}
    preprocess(arguments(data, tmp_path, **settings))
    text = {"dtype": str, "keep_default_na": False}
    samples, rejected = (pd.read_csv(tmp_path / NAMES[number], **text) for number in (1, 3))
    columns = ["file", "patient", "view", "label_pneumonia", "label_pleural_effusion"]
    assert samples[columns].values.tolist() == [
        ["one/a.dcm", "7", "PA", "1", ""],
        ["one/b.dcm", "b", "AP", "0", "1"],
    ]
    assert rejected.values.tolist() == [
        ["image_labels.csv", "no file for image lost"],
        ["two/c.dcm", "no annotation in image_labels.csv"],
    ]


class Orthanc(BaseHTTPRequestHandler):
    """Two studies of one file each."""

    def do_GET(self):
        study = re.fullmatch("/studies/(one|two)/archive", self.path)
        body = zip_bytes({"a.dcm": study[1]}) if study else json.dumps(["one", "two"]).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        """Say nothing."""


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Orthanc) as found:
        Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


def test_a_source_is_one_file(tmp_path, monkeypatch, server):
    orthanc = example("A source", "orthanc").ORTHANC
    monkeypatch.setitem(SOURCES, "orthanc", orthanc)
    source = f"orthanc:{server}"
    assert re.fullmatch(orthanc.pattern, source)
    assert missing([source]) is None
    settings = {
        "source": ["orthanc:http://127.0.0.1:1", source],
        "reader": "table",
        "phantom": None,
    }
    words = ["--site", "north", "--manifest", str(tmp_path / "manifest.csv")]
    download([*words, "--settings", json.dumps(settings)])
    listed = pd.read_csv(tmp_path / "manifest.csv")["file"].tolist()
    assert listed == ["one/a.dcm", "two/a.dcm"]
    assert (tmp_path / "data" / "two" / "a.dcm").read_text() == "two"
    (fetched,) = pd.read_csv(tmp_path / "fetched.csv").values.tolist()
    assert fetched[0] == source
    assert len(fetched[1]) == len("2026-11-29")
