"""The workflow in conda environments that a real solver and linker make from a local channel."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import channel
import standin
from chexviz.base.files import sha256
from environments import pinned
from needed import absent
from running import TINY, Workflow

DEMO = {"data", "evaluate", "export", "figures", "train-cpu"}


@pytest.fixture(scope="module")
def conda(tmp_path_factory, repository) -> dict[str, str]:
    """Variables that put `conda` and its local channel in reach, and any other Python out of it."""
    folder = tmp_path_factory.mktemp("conda")
    names = {name for path in (repository / "envs").glob("*.yaml") for name in pinned(path)}
    channel.make(folder / "channels" / "conda-forge", names | {"pip"})
    standin.install(folder / "conda", repository / "workflow")
    outside = folder / "outside" / "python"
    outside.parent.mkdir()
    outside.write_text("#!/bin/sh\necho this rule runs outside of its environment\nexit 1\n")
    outside.chmod(0o755)
    return {
        "PATH": f"{folder / 'conda' / 'bin'}:{outside.parent}:/usr/bin:/bin",
        "CONDA_CHANNEL_ALIAS": f"file://{folder}/channels",
        "CONDA_PKGS_DIRS": str(folder / "packages"),
    }


@pytest.fixture(scope="module")
def done(tmp_path_factory, repository, conda) -> Workflow:
    """The demo, in the environments that conda made for it."""
    workflow = Workflow(tmp_path_factory.mktemp("demo"), repository, TINY)
    run = workflow.run("--use-conda", **conda)
    assert run.returncode == 0, run.stdout[-6000:]
    workflow.said = run.stdout
    return workflow


def test_the_whole_demo_runs_in_its_environments(done):
    assert done.results("paper.pdf")
    assert len(done.results("predictions/*/*/*/*.csv")) == 8
    for name in DEMO:
        assert f"envs/{name}.yaml created" in done.said
    assert len(list(done.folder.glob(".snakemake/conda/*.env_setup_done"))) == len(DEMO)


def test_an_environment_has_its_own_packages_and_no_others(done):
    for path in done.folder.glob(".snakemake/conda/*.yaml"):
        python = path.with_suffix("") / "bin" / "python"
        found = {
            name: subprocess.run([python, "-c", f"import {name}"], capture_output=True).returncode
            for name in ("torch", "gdcm", "typst", "pandas", "snakemake")
        }
        text = path.read_text()
        wanted = {"torch": "pytorch", "gdcm": "gdcm", "typst": "typst-py", "pandas": "pandas"}
        expected = {name: 0 if package in text else 1 for name, package in wanted.items()}
        assert found == expected | {"snakemake": 1}, text


def data_environment(workflow: Workflow) -> Path:
    """Where the environment that reads radiographs was made."""
    (package,) = workflow.folder.glob(".snakemake/conda/*/conda-meta/pydicom-3*.json")
    return package.parents[1]


def read_png(environment: Path, repository: Path) -> subprocess.CompletedProcess:
    """Read a PNG file in an environment."""
    program = "import sys; from chexviz.data.decoding.radiograph import radiograph\n"
    program += "print(radiograph(sys.stdin.buffer.read()).pixels.shape)"
    file = io.BytesIO()
    Image.linear_gradient("L").save(file, "PNG")
    return subprocess.run(
        [environment / "bin" / "python", "-c", program],
        input=file.getvalue(),
        capture_output=True,
        env={"PYTHONPATH": str(repository / "workflow")},
    )


@pytest.fixture(scope="module")
def pypi(tmp_path_factory) -> None:
    """PyPI, or a mirror of it, is in reach of pip."""
    line = [sys.executable, "-m", "pip", "download", "--no-deps", "kornia-rs==0.2.0"]
    if subprocess.run(line, cwd=tmp_path_factory.mktemp("pypi"), capture_output=True).returncode:
        absent("no kornia-rs 0.2.0: PyPI, or the mirror that pip is told of, is out of reach")


def test_png_files_are_read_though_no_channel_has_their_decoder(done, repository, conda, pypi):
    channels = Path(conda["CONDA_CHANNEL_ALIAS"].removeprefix("file://"))
    assert list(channels.rglob("pydicom-*"))
    assert not list(channels.rglob("kornia*"))
    read = read_png(data_environment(done), repository)
    assert read.stdout == b"(256, 256)\n", read.stderr


def test_without_pypi_the_environment_is_made_and_png_files_alone_are_refused(
    tmp_path, repository, conda
):
    workflow = Workflow(tmp_path, repository, TINY)
    run = workflow.run("--use-conda", "--conda-create-envs-only", PIP_NO_INDEX="1", **conda)
    assert run.returncode == 0, run.stdout[-6000:]
    python = data_environment(workflow) / "bin" / "python"
    read = read_png(data_environment(workflow), repository)
    assert f"fix:      {python} -m pip install 'kornia-rs>=0.2'" in read.stderr.decode()


def test_results_carry_the_files_of_their_environments(done, repository):
    """And verification, outside of conda, asks for these and not for the packages there."""
    (path,) = done.results("provenance.json")
    record = json.loads(path.read_text())
    table = record["tables"][record["jobs"]["figure1"]["environment"]]
    assert table["envs/figures.yaml"] == sha256(repository / "envs" / "figures.yaml")
    assert {Path(name).name.split(".")[0] for name in table} == {"figures"}
    verified = done.verify()
    assert verified.returncode == 0, verified.stderr


def test_packages_are_linked_from_the_cache_and_not_copied(done, conda):
    environment = data_environment(done)
    (file,) = environment.glob("lib/*/site-packages/msgspec/json.py")
    assert file.stat().st_nlink > 1
    assert len(list(environment.glob("conda-meta/pydicom-3*.json"))) == 1


def test_a_second_run_makes_no_environment_and_nothing_else(done, conda):
    run = done.run("--use-conda", **conda)
    assert run.returncode == 0
    assert "Nothing to be done" in run.stdout
    assert "Creating conda environment" not in run.stdout


def test_the_time_of_training_is_measured_in_its_environment(done, conda):
    long = {"architectures": {"standard": {"federated": {"rounds": 100_000}}}}
    done.configure(TINY | long)
    assert done.wait_for("training will take about", "--use-conda", **conda)
    done.configure(TINY)


def test_snakemake_reads_and_hashes_the_papers_environments(tmp_path, repository, conda):
    workflow = Workflow(tmp_path, repository, TINY | {"pytorch": "gpu"})
    run = workflow.run("--use-conda", "--list-conda-envs", **conda)
    assert run.returncode == 0, run.stdout
    table = run.stdout.partition("environment\tcontainer\tlocation\n")[2]
    places = {Path(row.split()[0]).stem: row.split()[-1] for row in table.splitlines()}
    assert places.keys() == (DEMO - {"train-cpu"}) | {"train-gpu"}
    assert len(set(places.values())) == len(places)  # a hash each


def environment(folder: Path, repository: Path, name: str) -> Path:
    """A copy of one environment's file."""
    return Path(shutil.copy(repository / "envs" / f"{name}.yaml", folder))


def pin(*arguments, repository: Path, conda: dict[str, str]) -> subprocess.CompletedProcess:
    """Run the command that writes pin files."""
    variables = os.environ | conda | {"PYTHONPATH": str(repository / "workflow")}
    line = [sys.executable, "-m", "chexviz.tools.conda_pins", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, env=variables)


def test_the_gpu_build_is_installed_where_a_gpu_is_and_refused_elsewhere(
    tmp_path, repository, conda
):
    file = environment(tmp_path, repository, "train-gpu")
    refused = pin(file, repository=repository, conda=conda)
    assert refused.returncode == 1
    assert str(file) in refused.stderr
    assert "__cuda" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert list(tmp_path.glob("*.txt")) == []
    assert pin("--cuda", "13.0", file, repository=repository, conda=conda).returncode == 0
    pins = (tmp_path / "train-gpu.linux-64.pin.txt").read_text()
    assert "/pytorch-2.13.0-cuda130_200.tar.bz2#" in pins
    variables = os.environ | conda | {"CONDA_OVERRIDE_CUDA": "13.0"}
    line = ["conda", "env", "create", "--file", file, "--prefix", tmp_path / "made"]
    subprocess.run(line, env=variables, check=True)
    assert len(list(tmp_path.glob("made/conda-meta/pytorch-*-cuda130_200.json"))) == 2


def test_the_cpu_build_is_installed_even_where_a_gpu_is(tmp_path, repository, conda):
    file = environment(tmp_path, repository, "train-cpu")
    done = pin("--cuda", "13.0", file, repository=repository, conda=conda)
    assert done.returncode == 0, done.stderr
    pins = (tmp_path / "train-cpu.linux-64.pin.txt").read_text()
    assert "/pytorch-2.13.0-cpu_0.tar.bz2#" in pins


def test_a_version_that_no_channel_has_is_named(tmp_path, repository, conda):
    file = environment(tmp_path, repository, "evaluate")
    file.write_text(file.read_text().replace("pandas==3.0.6", "pandas==3.0.99"))
    done = pin(file, repository=repository, conda=conda)
    assert done.returncode == 1
    for part in (str(file), "expected:", "pandas ==3.0.99", "fix:"):
        assert part in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def pinned_copy(tmp_path, repository, conda) -> Workflow:
    """A copy of the workflow whose environments have pin files, ready to split the demo."""
    copy_of = tmp_path / "repository"
    for folder in ("config", "envs", "profiles", "workflow", "paper"):
        shutil.copytree(repository / folder, copy_of / folder)
    for name in ("Snakefile", "CITATION.cff"):
        shutil.copy(repository / name, copy_of)
    files = (copy_of / "envs").glob("*.yaml")
    assert pin("--cuda", "13.0", *files, repository=repository, conda=conda).returncode == 0
    return Workflow(tmp_path, copy_of, TINY)


def test_snakemake_installs_what_the_pin_files_say(pinned_copy, conda, pypi):
    file = pinned_copy.repository / "envs" / "data.linux-64.pin.txt"
    lines = file.read_text().splitlines()
    assert lines[0] == "@EXPLICIT"
    assert any("/gdcm-3.2.6-" in line for line in lines)
    # Only the pin file can be followed now.
    unsolvable = pinned_copy.repository / "envs" / "data.yaml"
    unsolvable.write_text(unsolvable.read_text().replace("msgspec==", "msgspec==99."))
    run = pinned_copy.run("--use-conda", "--conda-create-envs-only", **conda)
    assert run.returncode == 0, run.stdout[-6000:]
    assert run.stdout.count("Using pinnings from") == len(DEMO)
    assert "Failed to install" not in run.stdout
    made = {path.stem for path in pinned_copy.folder.glob(".snakemake/conda/*/conda-meta/*.json")}
    assert {line.rpartition("/")[2].partition(".tar.bz2")[0] for line in lines[1:]} <= made
    assert read_png(data_environment(pinned_copy), pinned_copy.repository).returncode == 0


def test_a_package_that_is_not_the_pinned_one_is_refused(pinned_copy, conda):
    file = pinned_copy.repository / "envs" / "data.linux-64.pin.txt"
    file.write_text(file.read_text()[:-5] + "0000\n")
    run = pinned_copy.run("--use-conda", "--conda-create-envs-only", **conda)
    assert run.returncode == 0, run.stdout[-6000:]  # Snakemake then solves anew, and says so
    assert "Failed to install conda environment from pin file" in run.stdout
