"""What made a result is recorded, and every change of it is found; on a workflow of four rules.

Its programs are modules of a copy of the library, since a command's code is found by their names.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import forking
from chexviz.base import source_code
from chexviz.base.errors import InputError
from chexviz.base.files import sha256
from chexviz.pipeline import provenance
from chexviz.pipeline.provenance import read_record, record_file
from chexviz.tools import verify

SNAKEFILE = """
import sys
sys.path.insert(0, "workflow")
from chexviz.pipeline import provenance
from chexviz.base.source_code import digest as code

PYTHON = "PYTHONPATH=workflow " + sys.executable
shell.prefix("export CHEXVIZ=$PWD; ")

configfile: "config.yaml"

onsuccess:
    provenance.record(workflow, config)

onerror:
    provenance.record(workflow, config)

rule all:
    default_target: True
    input: "results/figure.pdf", "results/other.pdf"

rule download:
    output: "resources/site/manifest.csv"
    shell: "cp listed.csv {output}"

rule table:
    input: manifest="resources/site/manifest.csv", labels=ancient("labels.csv")
    output: "results/table.csv"
    conda: "envs/data.yaml"
    params: code=code("table"), settings='{"test": {"margin": %s}}' % config["margin"]
    shell: PYTHON + " -m chexviz.table < {input.labels} > {output}"

rule figure:
    input: table="results/table.csv"
    output: "results/figure.pdf"
    params: code=code("figure", "text.typ")
    shell: "cat $CHEXVIZ/text.typ | " + PYTHON + " -m chexviz.figure > {output}"

rule other:
    output: "results/other.pdf"
    params: code=code("other"), colour=config["colour"]
    shell: "echo {params.colour} | " + PYTHON + " -m chexviz.other > {output}"
"""
CONFIG = {"margin": 0.05, "colour": "red"} | {
    "pathvars": {"results": "results", "resources": "resources"}
}
COPY = "import sys; sys.stdout.write(sys.stdin.read())"
TABLE_CODE, FIGURE_CODE, OTHER_CODE = (
    f"workflow/chexviz/{name}.py" for name in ("table", "figure", "other")
)
FILES = {
    TABLE_CODE: COPY,
    FIGURE_CODE: COPY,
    OTHER_CODE: COPY,
    "text.typ": "A text",
    "labels.csv": "a,1",
    "envs/data.yaml": "dependencies: []",
    "config.yaml": json.dumps(CONFIG),
    "resources/site/data/one.dcm": "one",
    "resources/site/data/two.dcm": "two",
    "packages/mathematics-1.0.dist-info/METADATA": "Name: mathematics\nVersion: 1.0\n",
}
TABLE, FIGURE, OTHER = "results/table.csv", "results/figure.pdf", "results/other.pdf"
MANIFEST = "resources/site/manifest.csv"


def snakemake(*options: str) -> subprocess.CompletedProcess:
    """A run in the working directory, with its packages."""
    environment = os.environ | {"PYTHONPATH": "packages"}
    return forking.snakemake(["--cores", "1", *options], Path.cwd(), environment)


def succeed(*options: str) -> None:
    done = snakemake(*options)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory, repository) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    library = "workflow/chexviz"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(repository / library, folder / library, ignore=ignored)
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    raw = (folder / "resources" / "site" / "data").iterdir()
    rows = sorted(f"{file.name},3,{sha256(file)}" for file in raw)
    (folder / "listed.csv").write_text("\n".join(["file,bytes,sha256", *rows]))
    (folder / "Snakefile").write_text(SNAKEFILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        succeed()
    return folder


@pytest.fixture(autouse=True)
def working_directory(finished, tmp_path, monkeypatch) -> None:
    """Each test works in a copy of that folder, and sees its packages."""
    shutil.copytree(finished, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    monkeypatch.syspath_prepend(tmp_path / "run" / "packages")
    monkeypatch.setattr(source_code, "HOME", tmp_path / "run")
    monkeypatch.setattr(source_code, "PACKAGE", tmp_path / "run" / "workflow" / "chexviz")
    provenance.packages.cache_clear()


def write(name: str, content: str) -> None:
    """Change a file, which must be there."""
    assert Path(name).read_text() != content
    Path(name).write_text(content)


def configure(**changes) -> None:
    write("config.yaml", json.dumps(CONFIG | changes))


def verified() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """What does not match of each artifact, and what has changed."""
    source_code.imports.cache_clear()
    source_code.checksum.cache_clear()
    config, now = verify.present(Path("Snakefile"), [])
    wrong, changed = verify.compare(read_record(record_file(config)), now)
    return wrong, {kind: sorted(entries) for kind, entries in changed.items() if entries}


def all_of(kind: str, *files: str) -> dict[str, list[str]]:
    """These files, each with one kind that does not match."""
    return {file: [kind] for file in files}


def test_all_of_a_finished_run_matches(capsys):
    verify.main(["--snakefile", "Snakefile"])
    assert capsys.readouterr().out == "All 4 artifacts match results/provenance.json.\n"


def test_what_does_not_match_is_said_with_status_1():
    write(FIGURE, "prettier")
    write(OTHER_CODE, COPY + " # an edit")
    line = [sys.executable, "-m", "chexviz.tools.verify", "--snakefile", "Snakefile"]
    environment = os.environ | {"PYTHONPATH": "packages:workflow"}
    done = subprocess.run(line, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert done.stderr.splitlines()[:5] == [
        f"{FIGURE}: artifact",
        f"{OTHER}: code",
        "",
        "2 of 4 artifacts do not match.",
        "changed code:",
    ]
    assert done.stdout == ""


def test_an_edited_or_deleted_artifact_is_found():
    write(TABLE, "a,2")
    Path(OTHER).unlink()
    assert verified() == ({TABLE: ["artifact"], OTHER: ["artifact"]}, {})


def test_a_changed_setting_is_found_where_it_was_used():
    configure(margin=0.06)
    wrong, changed = verified()
    assert wrong == {TABLE: ["config"], FIGURE: ["config"]}
    assert changed == {"config": ["table: settings: test: margin: 0.05, now 0.06"]}


def test_edited_code_is_found_where_it_was_run():
    write(FIGURE_CODE, COPY + " # an edit")
    wrong, changed = verified()
    assert wrong == {FIGURE: ["code"]}
    assert len(changed["code"]) == 1
    assert changed["code"][0].startswith(f"{FIGURE_CODE}: ")


def test_a_file_of_the_repository_that_a_command_reads_is_code():
    write("text.typ", "Another text")
    wrong, changed = verified()
    assert wrong == {FIGURE: ["code"]}
    assert changed["code"][0].startswith("text.typ: ")


def test_an_edited_command_is_code():
    write("Snakefile", Path("Snakefile").read_text().replace("echo ", "echo -n "))
    wrong, changed = verified()
    assert wrong == {OTHER: ["code"]}
    assert changed["code"][0].startswith("command of rule other: ")


def test_changed_lost_and_added_raw_files_are_found():
    write("resources/site/data/one.dcm", "three")
    Path("resources/site/data/two.dcm").rename("resources/site/data/four.dcm")
    wrong, changed = verified()
    assert wrong == all_of("data", MANIFEST, TABLE, FIGURE)
    assert changed["data"][0].endswith("now 3 raw files differ: four.dcm, one.dcm, two.dcm")


def test_a_changed_table_from_elsewhere_is_found():
    write("labels.csv", "a,0")
    wrong, changed = verified()
    assert wrong == all_of("data", TABLE, FIGURE)
    assert changed["data"][0].startswith("labels.csv: ")


def release(version: str) -> None:
    """Install another version of the package."""
    shutil.rmtree("packages")
    folder = Path("packages", f"mathematics-{version}.dist-info")
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Name: mathematics\nVersion: {version}\n")
    provenance.packages.cache_clear()


def test_another_version_of_a_package_is_found_and_another_package_does_not_matter():
    release("1.1")
    wrong, changed = verified()
    assert wrong == all_of("environment", MANIFEST, TABLE, FIGURE, OTHER)
    assert changed == {"environment": ["mathematics: 1.0, now 1.1"]}
    release("1.0")
    Path("packages/alchemy-1.0.dist-info").mkdir()
    Path("packages/alchemy-1.0.dist-info/METADATA").write_text("Name: alchemy\nVersion: 1.0\n")
    assert verified() == ({}, {})


def test_a_partial_rerun_keeps_the_environment_of_what_it_does_not_make():
    release("1.1")
    configure(colour="blue")
    succeed()
    wrong, changed = verified()
    assert wrong == all_of("environment", MANIFEST, TABLE, FIGURE)
    assert changed == {"environment": ["mathematics: 1.0, now 1.1"]}


def test_a_run_of_one_target_keeps_all_other_entries():
    configure(colour="blue", margin=0.06)
    succeed(OTHER)
    assert verified()[0] == all_of("config", TABLE, FIGURE)
    succeed()
    assert verified() == ({}, {})


def test_a_later_run_does_not_bless_an_edited_artifact():
    write(FIGURE, "prettier")
    configure(colour="blue")
    succeed()
    assert verified() == ({FIGURE: ["artifact"]}, {})


def test_a_failed_run_records_what_it_has_made_and_nothing_else():
    write(TABLE_CODE, "broken")
    configure(colour="blue")
    assert snakemake("--keep-going").returncode != 0
    assert not Path(TABLE).exists()
    assert verified()[0] == {FIGURE: ["code"]}  # of the old code, which waits to be made anew
    write(TABLE_CODE, COPY + " # an edit")
    succeed()
    assert verified() == ({}, {})


def test_what_a_killed_run_has_made_is_recorded_by_the_next():
    write(TABLE_CODE, COPY + " # an edit")
    succeed("--no-hooks")
    assert set(verified()[0]) == {TABLE, FIGURE}
    configure(colour="blue")
    succeed()
    assert verified() == ({}, {})


def test_the_record_stands_without_snakemakes_own():
    shutil.rmtree(".snakemake")
    assert verified() == ({}, {})
    succeed("--forcerun", "other")
    assert verified() == ({}, {})


def test_a_result_that_nothing_makes_any_more_is_found():
    write("Snakefile", Path("Snakefile").read_text().replace(f', "{OTHER}"', ""))
    assert verified() == ({OTHER: ["config (nothing makes it any more)"]}, {})


def test_the_same_run_gives_the_same_record():
    before = Path("results/provenance.json").read_bytes()
    shutil.rmtree("results")
    succeed()
    assert Path("results/provenance.json").read_bytes() == before


def test_touching_after_a_change_records_nothing():
    """Neither then nor in a later run is the result said to be of the new config."""
    configure(margin=0.06)
    succeed("--touch")
    assert verified()[0] == all_of("config", TABLE, FIGURE)
    configure(margin=0.06, colour="blue")
    succeed()
    assert verified()[0] == all_of("config", TABLE, FIGURE)
    succeed("--forcerun", "table")
    assert verified() == ({}, {})


def test_without_a_record_it_says_what_to_do():
    Path("results/provenance.json").unlink()
    with pytest.raises(InputError, match="--forcerun paper"):
        verify.main(["--snakefile", "Snakefile"])


@pytest.mark.parametrize("damage", ["", '{"artifacts": {', "[]", '{"artifacts": {}, "jobs": []}'])
def test_a_damaged_record_is_said_and_another_one_written(damage):
    write("results/provenance.json", damage)
    with pytest.raises(InputError, match=r"found: +something else"):
        verify.main(["--snakefile", "Snakefile"])
    done = snakemake("--forcerun", "other")
    assert done.returncode == 0, done.stdout
    assert "WARNING results/provenance.json" in done.stdout
    assert "A new record is written" in done.stdout
    assert "Traceback" not in done.stdout
    assert verified() == ({}, {})


def test_a_conda_environment_is_its_files(repository, monkeypatch):
    """Its versions are what its yaml, pin file or script names, not those beside Snakemake."""
    monkeypatch.setattr(source_code, "HOME", repository)
    provenance.conda_files.cache_clear()
    file = SimpleNamespace(get_path_or_uri=lambda secret_free: str(repository / "envs/data.yaml"))
    job = SimpleNamespace(conda_env=SimpleNamespace(file=file))
    table = provenance.environment_table(job, uses_conda=True)
    assert table["envs/data.yaml"] == sha256(repository / "envs" / "data.yaml")
    assert "envs/data.post-deploy.sh" in table
    assert {Path(name).name.split(".")[0] for name in table} == {"data"}
    monkeypatch.setattr(verify, "conda_files", lambda: {"envs/data.yaml": "another"})
    assert verify.refreshed(table)["envs/data.yaml"] == "another"
