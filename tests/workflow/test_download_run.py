"""Getting data under Snakemake: secrets, stopped downloads, changed sources, data contracts."""

import base64
import os
import signal
import subprocess
import time

import pandas as pd
import pytest

import kaggle_server
from kaggle_server import KEY, SECRETS, TOKEN
from made_archives import zip_bytes
from running import TINY

MANIFEST = "resources/demo/rsna/manifest.csv"
TARGET = ("--", MANIFEST)
ARCHIVE = zip_bytes({"stage_2_train_labels.csv": "l", "a.dcm": bytes(3 * 2**20)})


def of(workflow, source):
    """The workflow with another source of the site rsna."""
    workflow.configure(TINY | {"sites": {"rsna": {"source": [source]}}})
    return workflow


def encoded(secret):
    """A secret, and what stays of it in base64 wherever in a text it begins."""
    shifted = [base64.b64encode(bytes(start) + secret.encode()) for start in range(3)]
    return [secret.encode(), *(text[4:-4] for text in shifted)]


@pytest.mark.parametrize("fails", [False, True])
def test_no_secret_reaches_a_log_or_snakemakes_metadata(workflow, tmp_path, fails):
    """Neither when it goes well nor when it fails; the legacy key is set beside the token."""
    secrets = {"KAGGLE_API_TOKEN": TOKEN, "KAGGLE_USERNAME": "someone", "KAGGLE_KEY": KEY}
    with kaggle_server.serving(ARCHIVE) as server:
        server.faults = ["corrupt", "corrupt"] * fails
        variables = kaggle_server.environment(server, tmp_path / "home", VERBOSE="1", **secrets)
        done = of(workflow, "kaggle-competition:chests").run(*TARGET, **variables)
    assert (done.returncode == 0) == (not fails), done.stdout
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    names = " ".join(str(path) for path in files)
    assert "logs/demo/download/rsna.log" in names
    assert ".snakemake/log/" in names
    assert fails or ".snakemake/metadata/" in names
    assert server.of("DownloadDataFiles")[0]["Authorization"] == f"Bearer {TOKEN}"
    written = b"\0".join(
        [done.stdout.encode(), names.encode(), *(one.read_bytes() for one in files)]
    )
    for secret in SECRETS:
        for form in encoded(secret):
            assert form not in written


def test_a_source_that_changes_is_noticed_told_and_not_forgotten_if_it_fails(workflow, tmp_path):
    folder = tmp_path / "hospital"
    (folder / "deep").mkdir(parents=True)
    for name in ("deep/a.dcm", "deep/b.dcm"):
        (folder / name).write_text("1")
    of(workflow, f"local:{folder}").succeed(*TARGET)
    assert workflow.planned(*TARGET) == {}
    (folder / "deep" / "a.dcm").write_text("2")
    said = workflow.succeed(*TARGET)
    assert "0 files added, 0 removed, 1 with other content" in said
    bad = tmp_path / "bad.zip"
    bad.write_text("no archive")
    done = of(workflow, f"local:{bad}").run(*TARGET)
    assert done.returncode != 0
    assert "a whole zip archive" in done.stdout
    assert not (tmp_path / MANIFEST).exists()
    assert (tmp_path / MANIFEST).with_name("data").resolve() == folder
    assert workflow.planned(*TARGET) == {"download": 1}


def test_a_download_that_is_stopped_goes_on_in_the_next_run(workflow, tmp_path):
    of(workflow, "kaggle-dataset:someone/chests")
    with kaggle_server.serving(ARCHIVE) as server:
        server.faults = ["stall"]
        variables = kaggle_server.environment(server, tmp_path / "home")
        process = subprocess.Popen(
            workflow.line(*TARGET),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=workflow.environment(**variables),
            start_new_session=True,
        )
        (site,) = (tmp_path / MANIFEST).parents[:1]
        end = time.monotonic() + 60
        while not any(path.stat().st_size for path in site.glob(".archives/*/*.zip")):
            assert time.monotonic() < end
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) != 0
        assert not (tmp_path / MANIFEST).exists()
        done = workflow.run(*TARGET, **variables)
    assert done.returncode == 0, done.stdout
    assert server.of("GET")[-1]["Range"] == f"bytes={2**20}-"
    names = sorted(path.name for path in site.iterdir())
    assert names == [".manifest.csv", "data", "manifest.csv"]


def test_a_contract_that_is_not_strict_is_carried_into_the_report(workflow, tmp_path):
    target = ("--", "results/demo/sites/rsna/contract.csv")
    # A mapping undoes the demo's null, and leaves the paper's numbers, which no phantom meets.
    loose = {"sites": {"rsna": {"contract": {"strict": False}}}}
    overlay = TINY | {"phantom": {"images": 20}} | loose
    workflow.configure(overlay)
    said = workflow.succeed(*target)
    assert "WARNING site rsna is not what its data contract says" in said
    assert "images: expected 26684; found " in said
    table = pd.read_csv(tmp_path / target[1], dtype=str).set_index("check")["verdict"].to_dict()
    assert table == {
        "files stage_2_train_labels.csv": "as expected",
        "files *.dcm": "differs",
        "columns of stage_2_train_labels.csv": "as expected",
        "images": "differs",
        "positives": "differs",
    }
    workflow.succeed("--report", "report.html", *target)
    page = (tmp_path / "report.html").read_text()
    assert '"Audit"' in page
    assert '"name": "contract.csv"' in page
    assert "A second copy" in page
