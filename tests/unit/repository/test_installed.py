"""The library and its command as a stranger installs them: from a wheel, with nothing else."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sklearn.metrics import roc_auc_score
from test_environments import FROM_IMPORT

import made_bundles
from chexviz.__main__ import COMMANDS, GROUPS, main
from chexviz.base import source_code
from environments import locked
from made_dicoms import chest, write_dicom
from made_rasters import encoded

UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
# The optional packages that the modules of a room may import.
ROOMS = {
    **dict.fromkeys(("base", "images", "evaluation", "reporting"), ""),
    **{"data": "data", "cohort": "data", "models": "train", "federation": "train"},
    "privacy": "train",
    **{"inference": "predict", "viewer": "view", "export.py": "export"},
    **{"figures": "figures", "paper": "figures", "pipeline": "workflow", "tools": "workflow"},
    **dict.fromkeys(("network", "server", "site"), "federation"),
}
HEAVY = {"flwr", "torch", "numpy", "pandas", "scipy", "snakemake", "cryptography"}
IDENTIFIED = ("SOPInstance", "StudyInstance", "SeriesInstance")
# What a command is given whose packages are imported once its line is read.
GIVEN = {"site prepare": ["--configfile=x.yaml"], "server run": ["."]}


def uv(*words: str | Path) -> None:
    """Run uv without network, from any folder."""
    line = [UV, "--quiet", "--offline", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def needed(requirements: list[str]) -> set[str]:
    """The packages that are installed with these: their own requirements too, without extras."""
    names = set()
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            name = canonicalize_name(requirement.name)
            names |= {name, *needed(metadata.requires(name) or [])}
    return names


def lend(package: str, folder: Path) -> None:
    """Put a package of this environment into another one."""
    files = metadata.files(package)
    for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
        there = metadata.distribution(package).locate_file(top)
        if top.endswith(".dist-info"):  # of a link uv would not read the version
            shutil.copytree(there, folder / top)
        elif not (folder / top).exists():  # several packages may have parts of one
            (folder / top).symlink_to(there)


@pytest.fixture(scope="module")
def project(repository) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, repository) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    uv("build", "--wheel", "--out-dir", folder, repository)
    (file,) = folder.glob("*.whl")
    return file


def installed(home: Path, wheel: Path, requirements: list[str]):
    """Run the command, installed with these packages, outside of any checkout or elsewhere."""
    python = home / "venv" / "bin" / "python"
    uv("venv", "--python", sys.executable, home / "venv")
    uv("pip", "install", "--no-deps", "--python", python, wheel)
    (packages,) = home.glob("venv/lib/*/site-packages")
    for package in needed(requirements):
        lend(package, packages)
    uv("pip", "check", "--python", python)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*words: str, folder: Path = home, program="chexviz") -> subprocess.CompletedProcess:
        line = [str(python.with_name(program)), *words]
        return subprocess.run(line, capture_output=True, text=True, cwd=folder, env=environment)

    run.home = home
    return run


@pytest.fixture(scope="module")
def chexviz(tmp_path_factory, wheel, project):
    """The command with what the library alone needs."""
    return installed(tmp_path_factory.mktemp("stranger"), wheel, project["dependencies"])


@pytest.fixture(scope="module")
def at_a_site(tmp_path_factory, wheel, project):
    """The command as `pip install 'chexviz[federation]'` installs it."""
    extra = project["optional-dependencies"]["federation"]
    requirements = project["dependencies"] + extra
    return installed(tmp_path_factory.mktemp("site"), wheel, requirements)


@pytest.fixture(scope="module")
def at_a_users(tmp_path_factory, wheel, project):
    """The command as `pip install 'chexviz[predict]'` installs it."""
    extra = project["optional-dependencies"]["predict"]
    requirements = project["dependencies"] + extra
    return installed(tmp_path_factory.mktemp("user"), wheel, requirements)


def test_the_wheel_holds_the_package_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if not name.endswith("/")}
    package = {
        path.relative_to(source_code.PACKAGE.parent).as_posix()
        for path in source_code.PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "chexviz/reporting/figures/style.mplstyle" in package
    assert "chexviz/inference/viewer/static/index.html" in package
    about = {name for name in held if ".dist-info/" in name}
    assert held - about == package
    assert any(name.endswith("licenses/LICENSE") for name in about)


def test_a_stranger_compares_two_tables(chexviz):
    draws = np.random.default_rng(1)
    label = np.arange(200) % 4 == 0
    areas = []
    for name, shift in (("baseline", 0.5), ("model", 1.5)):
        score = 1 / (1 + np.exp(-draws.normal(shift * label)))
        table = pd.DataFrame({"image": range(200), "label": label.astype(int), "score": score})
        table.to_csv(chexviz.home / f"{name}.csv", index=False)
        areas.append(roc_auc_score(label, score))
    done = chexviz("compare", "baseline.csv", "model.csv", "--metrics=metrics.csv")
    assert done.returncode == 0, done.stderr
    assert "200 images, 50 with the finding" in done.stdout
    found = pd.read_csv(chexviz.home / "metrics.csv")
    assert list(found["model"]) == ["baseline", "model"]
    np.testing.assert_allclose(found["auroc"], areas, rtol=0, atol=1e-12)
    for area in areas:
        assert f"{area:.3f} (" in done.stdout


def test_a_wrong_table_is_refused_in_words(chexviz):
    done = chexviz("compare", "absent.csv", "absent.csv")
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR absent.csv\n  expected: a CSV file")


def test_help_says_what_there_is(chexviz):
    for words in ([], ["--help"]):
        done = chexviz(*words)
        assert done.returncode == 0
        assert done.stdout.startswith("usage: chexviz ")
        summaries = GROUPS | {
            name: command.summary for name, command in COMMANDS.items() if " " not in name
        }
        for name, summary in summaries.items():
            assert re.search(rf"^ +{name} +{re.escape(summary[:30])}", done.stdout, re.M)
    done = chexviz("compare", "--help")
    assert done.stdout.startswith("usage: chexviz compare ")
    assert "may have patient and subset" in done.stdout
    assert chexviz("compar").returncode == 2


@pytest.mark.parametrize("group", GROUPS)
def test_help_of_a_group_says_what_is_in_it(chexviz, group):
    for words in ([], ["--help"]):
        done = chexviz(group, *words)
        assert done.returncode == 0
        assert done.stdout.startswith(f"usage: chexviz {group} ")
        for name, command in COMMANDS.items():
            if name.startswith(f"{group} "):
                line = rf"^ +{name.split()[1]}\s+{re.escape(command.summary[:30])}"
                assert re.search(line, done.stdout, re.M)
    assert chexviz(group, "nothing").returncode == 2


def test_a_site_without_its_packages_is_told_which_to_install(chexviz):
    done = chexviz("site", "key", "north")
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR chexviz site key needs the package ")
    assert "pip install 'chexviz[federation]'" in done.stderr
    assert not (chexviz.home / "north").exists()


def test_a_site_has_all_it_needs_with_the_packages_of_a_federation(at_a_site):
    done = at_a_site("site", "key", "north")
    assert done.returncode == 0, done.stderr
    assert (at_a_site.home / "north.pub").is_file()
    assert re.fullmatch("[0-9a-f]{64}\n", at_a_site("site", "app").stdout)
    modules = ["federation.network.join", "tools.site.results", "cohort.exclude_shared"]
    modules += ["tools.server.conducting", "tools.server.watch", "cohort.between_sites"]
    program = "; ".join(f"import chexviz.{module}" for module in modules)
    done = at_a_site("-c", program, program="python")
    assert done.returncode == 0, done.stderr


def test_a_user_without_its_packages_is_told_which_to_install(chexviz):
    done = chexviz("predict", "bundle", "chest.dcm")
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR chexviz predict needs the package ")
    assert "pip install 'chexviz[predict]'" in done.stderr


def test_a_user_scores_a_radiograph_with_the_packages_of_predict_alone(at_a_users):
    """Neither PyTorch nor Snakemake is among them."""
    absent = "import importlib.util as u; print([*map(u.find_spec, ('torch', 'snakemake'))])"
    assert at_a_users("-c", absent, program="python").stdout == "[None, None]\n"
    model = made_bundles.model_of()
    made_bundles.write(at_a_users.home / "bundle", model, made_bundles.about(model))
    tags = {f"{one}UID": f"1.2.{number}" for number, one in enumerate(IDENTIFIED)}
    tags |= {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1"}
    write_dicom(at_a_users.home / "chest.dcm", chest(1), **tags)
    (at_a_users.home / "chest.png").write_bytes(encoded(chest(2)))
    outputs = ["--csv=x.csv", "--jsonl=x.jsonl", "--heatmaps=maps", "--dicom=objects"]
    done = at_a_users("predict", "bundle", "chest.dcm", "chest.png", *outputs)
    assert done.returncode == 0, done.stderr
    assert list(pd.read_csv(at_a_users.home / "x.csv")["status"]) == ["read", "read"]
    made = {
        path.name for place in ("maps", "objects") for path in (at_a_users.home / place).iterdir()
    }
    assert {"chest.dcm.png", "chest.png.png", "chest.dcm.sc.dcm", "chest.dcm.sr.dcm"} <= made


def test_help_imports_nothing_that_takes_long(repository):
    program = f"""
import sys
from contextlib import suppress
from chexviz.__main__ import COMMANDS, main
main(["--version"])
assert "msgspec" not in sys.modules
for name in filter(lambda name: " " in name, COMMANDS):
    with suppress(SystemExit):
        main([*name.split(), "--help"])
print("imported:", {HEAVY} & set(sys.modules))
"""
    environment = os.environ | {"PYTHONPATH": str(repository / "workflow")}
    line = [sys.executable, "-c", program]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.splitlines()[-1] == "imported: set()"
    assert done.stdout.count("usage: chexviz s") == len([one for one in COMMANDS if " " in one])


def test_the_version_is_stated_once_and_cited(chexviz, project, repository, capsys):
    assert chexviz("--version").stdout == f"chexviz {project['version']}\n"
    main(["--version"])  # of this checkout
    assert capsys.readouterr().out == f"chexviz {project['version']}\n"
    cited = re.search(r"^version: (.+)$", (repository / "CITATION.cff").read_text(), re.M)[1]
    assert cited == project["version"]


@pytest.mark.parametrize("name", [name for name in COMMANDS if COMMANDS[name].in_checkout])
def test_what_needs_a_checkout_or_more_packages_says_so(chexviz, repository, name):
    words = [*name.split(), *GIVEN.get(name, ["--help"])]
    done = chexviz(*words)
    assert done.returncode == 1
    assert f"ERROR chexviz {name} works in a checkout of the workflow" in done.stderr
    done = chexviz(*words, folder=repository / "docs")
    assert done.returncode == 1
    assert f"pip install 'chexviz[{COMMANDS[name].extra}]'" in done.stderr


def test_every_import_of_a_room_is_in_its_extra(project):
    ours = {"chexviz", *sys.stdlib_module_names}
    commands = {command.module.rpartition(".")[2] for command in COMMANDS.values()}
    evaluations = {"site_evaluation", "join_evaluations"}  # commands of a federation use them
    for path in source_code.PACKAGE.rglob("*.py"):
        if path.parent.name == "tools" and path.stem not in commands | evaluations:
            continue  # for those who make it
        room = [part for part in path.relative_to(source_code.PACKAGE).parts if part in ROOMS][-1:]
        extra = ROOMS[room[0]] if room else ""
        lines = project["dependencies"] + (project["optional-dependencies"][extra] if extra else [])
        known = {Requirement(line).name for line in lines}
        imported = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split(".")[0])
        assert {FROM_IMPORT.get(name, name) for name in imported - ours} <= known, path


def test_an_extra_holds_those_that_its_rooms_rest_on(project):
    extras = project["optional-dependencies"]
    assert {*extras["train"]} < {*extras["federation"]}
    assert {*extras["predict"]} < {*extras["view"]}


def test_the_ranges_hold_what_the_lock_pins(project, repository):
    versions = locked(repository / "envs" / "requirements.lock")
    for line in sum(project["optional-dependencies"].values(), project["dependencies"]):
        requirement = Requirement(line)
        for version in versions[requirement.name]:
            assert requirement.specifier.contains(version), line
