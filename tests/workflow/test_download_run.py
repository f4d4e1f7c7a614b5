"""Getting data under Snakemake: secrets, stopped downloads, changed sources, data contracts."""

import base64
import os
import re
import signal
import subprocess
import time

import pandas as pd

import kaggle_server
from chexviz.data.phantom.site import generate
from kaggle_server import KEY, SECRETS, TOKEN
from made_archives import zip_bytes
from running import TINY

MANIFEST = "resources/demo/rsna/manifest.csv"
CONTRACT = "results/demo/sites/rsna/contract.csv"
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


def embedded(page):
    """What lies encoded in a report: the content of its data: addresses."""
    found = re.findall(rb"data:[^,\"\s]*;base64,([\w+/]+=*)", page)
    return [base64.b64decode(text) for text in found]


def assert_silent(folder, *more):
    """No secret is in a name or content below a folder, nor in `more`."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = " ".join(str(path) for path in files)
    assert "logs/demo/download/rsna.log" in names
    assert ".snakemake/log/" in names
    written = b"\0".join([names.encode(), *more, *(path.read_bytes() for path in files)])
    for secret in SECRETS:
        for form in encoded(secret):
            assert form not in written


def logged_in(server, home):
    """Variables with a login that VERBOSE would print, and a legacy key beside the token."""
    secrets = {"KAGGLE_API_TOKEN": TOKEN, "KAGGLE_USERNAME": "someone", "KAGGLE_KEY": KEY}
    return kaggle_server.environment(server, home, VERBOSE="1", **secrets)


def test_no_secret_reaches_a_log_if_a_download_fails(workflow, tmp_path):
    with kaggle_server.serving(ARCHIVE) as server:
        server.faults = ["corrupt", "corrupt"]
        variables = logged_in(server, tmp_path / "home")
        done = of(workflow, "kaggle-competition:chests").run(*TARGET, **variables)
    assert done.returncode != 0, done.stdout
    assert server.of("DownloadDataFiles")[0]["Authorization"] == f"Bearer {TOKEN}"
    assert_silent(tmp_path, done.stdout.encode())


def test_no_secret_reaches_a_log_a_report_or_snakemakes_metadata(workflow, tmp_path):
    drawn = tmp_path / "drawn"
    generate("rsna", drawn, images=20, seed=1, workers=1)
    files = {str(path.relative_to(drawn)): path for path in drawn.rglob("*") if path.is_file()}
    archive = zip_bytes({name: path.read_bytes() for name, path in files.items()})
    site = {"source": ["kaggle-competition:chests"], "contract": {"strict": False}}
    workflow.configure(TINY | {"sites": {"rsna": site}})
    with kaggle_server.serving(archive) as server:
        variables = logged_in(server, tmp_path / "home")
        done = workflow.run("--", CONTRACT, **variables)
        reported = workflow.run("--report", "report.html", "--", CONTRACT, **variables)
    assert done.returncode == reported.returncode == 0, done.stdout + reported.stdout
    assert server.of("DownloadDataFiles")[0]["Authorization"] == f"Bearer {TOKEN}"
    assert list(tmp_path.glob(".snakemake/metadata/*"))
    contents = embedded((tmp_path / "report.html").read_bytes())
    assert (tmp_path / CONTRACT).read_bytes() in contents
    assert_silent(tmp_path, done.stdout.encode(), reported.stdout.encode(), *contents)


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
    assert names == [".manifest.csv", "data", "fetched.csv", "manifest.csv"]


def test_a_contract_that_is_not_strict_is_carried_into_the_report(workflow, tmp_path):
    target = ("--", CONTRACT)
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
        "rows of the label table": "differs",
        "ids of the label table": "differs",
        "images": "differs",
        "positives of pneumonia": "differs",
        "kept images": "differs",
        "kept positives of pneumonia": "differs",
    }
    workflow.succeed("--report", "report.html", *target)
    page = (tmp_path / "report.html").read_text()
    assert '"Audit"' in page
    assert '"name": "contract.csv"' in page
    assert "A second copy" in page
    assert "The data contract of RSNA is not strict:" in page
