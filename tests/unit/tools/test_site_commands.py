"""What a site's operator types: what each command does, and says of what cannot be right."""

import json
import shutil
import stat

import pandas as pd
import pytest

from chexviz.base.errors import InputError
from chexviz.base.files import sha256
from chexviz.base.tables.study import SPLIT
from chexviz.federation import train
from chexviz.federation.network import bundle, credentials
from chexviz.federation.network.diary import STUDY
from chexviz.federation.network.messages import Study
from chexviz.models import files
from chexviz.tools.site import evaluate, join, prepare, results
from chexviz.tools.site.prepared import ABOUT, About, Home, read
from made_keyed import drawn_site, write_key, write_site
from trainings import LABELLED, SETTINGS, arguments

EVALUATION = {
    "bootstrap": {"replicates": 100, "unit": "patient", "confidence": 0.95, "seed": 1},
    "minimum_cases": 5,
    "sensitivities": [0.9],
    "margin": 0.05,
}


def laid_out(folder, source, name: str):
    """The results of a prepared site, of a folder with its arrays, tables and split."""
    site = folder / "sites" / name
    shutil.copytree(source, site)
    for protocol in ("paper", "patient"):
        split = folder / "splits" / protocol / f"{name}.csv"
        split.parent.mkdir(parents=True)
        shutil.copy(site / "split.csv", split)
    (folder / ABOUT).write_text(json.dumps({"name": name, "evaluation": EVALUATION}))
    return folder


@pytest.fixture
def prepared(federation, tmp_path):
    """The results folder of the site north."""
    return laid_out(tmp_path / "results", federation / "north", "north")


def home(results) -> Home:
    about = read((results / ABOUT).read_text(), About)
    return Home(about, results, results / "federation")


# --- key, secret, app ----------------------------------------------------------------------------


def test_a_key_is_made_once_and_told_of(tmp_path, chexviz, capsys):
    chexviz("site", "key", tmp_path / "keys" / "north")
    mark = credentials.fingerprint((tmp_path / "keys" / "north.pub").read_bytes())
    assert capsys.readouterr().out.splitlines()[-1] == mark
    assert stat.S_IMODE((tmp_path / "keys" / "north").stat().st_mode) == 0o600
    with pytest.raises(InputError, match="one that may be in use"):
        chexviz("site", "key", tmp_path / "keys" / "north")
    with pytest.raises(InputError, match="leave the ending out"):
        chexviz("site", "key", tmp_path / "south.pub")


def test_the_app_is_that_of_the_code(chexviz, capsys):
    chexviz("site", "app")
    assert capsys.readouterr().out == f"{bundle.sha256()}\n"


# --- what is prepared ----------------------------------------------------------------------------


def test_a_folder_that_was_not_prepared_is_named(tmp_path, chexviz):
    options = ["--results", tmp_path]
    joining = ["--key", "north", "--approve", "0" * 64, "--authority", "ca.crt"]
    for words in (
        ("join", "localhost:8300", *joining),
        ("evaluate",),
        ("hashes", "keyed.csv", "--secret", "secret"),
        ("exclude", "leaking.csv", "--secret", "secret"),
    ):
        with pytest.raises(InputError, match=r"site.json\n.*a prepared site\n(.*\n)*.*--results"):
            chexviz("site", *words, *options)


def test_a_site_without_split_or_images_is_named(prepared, chexviz):
    words = ["localhost:8300", "--key", "north", "--approve", "0" * 64, "--results", prepared]
    array = prepared / "sites" / "north" / "images.npy"
    array.rename(prepared / "images.npy")
    with pytest.raises(InputError, match=r"images\.npy or shards\.csv"):
        chexviz("site", "join", *words)
    (prepared / "images.npy").rename(array)
    shutil.rmtree(prepared / "splits")
    with pytest.raises(InputError, match=r"a split of site north: PROTOCOL/north\.csv"):
        chexviz("site", "join", *words)


def test_code_that_nobody_approved_does_not_join(prepared, chexviz):
    words = ["localhost:8300", "--key", "north", "--authority", "ca.crt", "--results", prepared]
    with pytest.raises(InputError, match=bundle.sha256()):
        chexviz("site", "join", *words, "--approve", "0" * 64)


def test_options_of_join_may_stand_in_a_file(prepared, chexviz, tmp_path):
    lines = ["localhost:8300", "--key=north", f"--results={prepared}", "--share", "calibration"]
    (tmp_path / "join").write_text("\n".join([*lines, f"--approve={bundle.sha256()}"]))
    with pytest.raises(InputError, match="metrics among them, which the other tables go with"):
        chexviz("site", "join", f"@{tmp_path / 'join'}")
    with pytest.raises(SystemExit):
        chexviz("site", "join", f"@{tmp_path / 'join'}", "--share", "predictions")


def test_a_protocol_is_named_where_there_are_several(prepared):
    split = prepared / "splits" / "patient" / "north.csv"
    assert home(prepared).split("patient") == ("patient", split)
    with pytest.raises(InputError, match=r"paper, patient\n.*none, and there are several"):
        home(prepared).split(None)
    with pytest.raises(InputError, match=r"--protocol other"):
        home(prepared).split("other")
    shutil.rmtree(prepared / "splits" / "paper")
    assert home(prepared).split(None) == ("patient", split)


# --- prepare -------------------------------------------------------------------------------------


@pytest.mark.parametrize("sites", [None, {}, {"north": {}, "south": {}}])
def test_the_last_file_has_one_site(tmp_path, sites):
    with pytest.raises(InputError, match=r"study.yaml: sites\n"):
        prepare.only_site(tmp_path / "study.yaml", sites)
    assert prepare.only_site(tmp_path / "study.yaml", {"north": {}}) == "north"


def test_the_workflow_makes_what_a_site_needs(repository):
    run = {"protocols": ["patient"], "architectures": ["standard"], "seeds": [1, 2]}
    config = {"pathvars": {"results": "out"}, "run": run}
    made = ["out/audit/labels.csv", "out/splits/patient/north.csv", "out/audit/patient.csv"]
    assert prepare.targets(config, "north", baseline=False) == made
    folder = "out/models/patient/standard/baseline"
    baselines = [f"{folder}/seed{seed}/north.safetensors" for seed in (1, 2)]
    assert prepare.targets(config, "north", baseline=True) == [*made, *baselines]


def test_results_of_another_site_are_left_alone(prepared):
    prepare.check_folder(prepared, "north")
    with pytest.raises(InputError, match=r"results of site south\n.*those of north"):
        prepare.check_folder(prepared, "south")


# --- what sites share with each other ------------------------------------------------------------


@pytest.fixture
def two_homes(tmp_path):
    """Results of two sites that have patients, files and near-identical images in common."""
    homes = {}
    for name in ("north", "south"):
        write_site(tmp_path / "made" / name, drawn_site(name, seed=1), name)
        homes[name] = laid_out(tmp_path / name, tmp_path / "made" / name, name)
        shutil.rmtree(homes[name] / "splits" / "paper")
    return homes


def test_sites_leave_out_what_they_share(two_homes, tmp_path, chexviz, capsys):
    secret = ["--secret", write_key(tmp_path)]
    pairs = []
    for name, folder in two_homes.items():
        chexviz("site", "hashes", tmp_path / f"{name}.csv", "--results", folder, *secret)
        pairs.append(f"{name}={tmp_path / name}.csv")
    chexviz("server", "audit", *pairs, "--output", tmp_path / "audit")
    assert len(pd.read_csv(tmp_path / "audit" / "between_sites.csv")) == 8
    capsys.readouterr()
    leaking = tmp_path / "audit" / "north.leaking.csv"
    chexviz("site", "exclude", leaking, "--results", two_homes["north"], *secret)
    assert "left out, since another site has them" in capsys.readouterr().err
    north = home(two_homes["north"])
    _, split = north.split("patient")
    used = north.used()["patient"]
    assert used == north.state / "splits" / f"patient.{sha256(split)[:16]}.csv"
    gone = {*SPLIT.read(split, "image")["image"]} - {*SPLIT.read(used, "image")["image"]}
    assert gone
    other = tmp_path / "audit" / "south.leaking.csv"
    with pytest.raises(InputError, match="others, of"):
        chexviz("site", "exclude", other, "--results", two_homes["north"], *secret)
    with split.open("a") as file:
        file.write("\n")
    with pytest.raises(InputError, match=r"they were left out of another one\n.*site hashes"):
        north.used()


def test_a_pair_that_is_none_is_named(chexviz, tmp_path):
    for text in ("north", "north=", "=north.csv", "north/keyed.csv=north"):
        with pytest.raises(InputError, match=r"north=north/keyed\.csv"):
            chexviz("server", "audit", text, "south=south.csv", "--output", tmp_path)


def test_a_secret_of_sites_is_made(tmp_path, chexviz, two_homes):
    chexviz("site", "secret", tmp_path / "of_all")
    options = ["--results", two_homes["north"], "--secret", tmp_path / "of_all"]
    chexviz("site", "hashes", tmp_path / "keyed.csv", *options)
    (tmp_path / "of_all").chmod(0o644)
    with pytest.raises(InputError, match="its owner alone can read"):
        chexviz("site", "hashes", tmp_path / "keyed.csv", *options)


# --- what a federation has left ------------------------------------------------------------------

STUDIED = Study(
    protocol="paper", architecture="standard", findings=LABELLED, seed=1, settings=SETTINGS
)


@pytest.fixture(scope="module")
def over(larger_federation, tmp_path_factory):
    """North's results after a study: a model of its own stands for that of the federation."""
    folder = tmp_path_factory.mktemp("north")
    found = laid_out(folder / "results", larger_federation / "north", "north")
    train.main(arguments(larger_federation, ["north"], "model", rounds=1))
    tensors, about = files.load(larger_federation / "model.safetensors")
    state = found / "federation" / STUDIED.digest[:16]
    files.save(state / evaluate.MODEL, tensors, **about)
    (state / STUDY).write_text(STUDIED.text)
    return found


def test_a_site_evaluates_what_the_federation_left(over, chexviz, capsys):
    state = over / "federation" / STUDIED.digest[:16]
    chexviz("site", "evaluate", "--results", over, "--smallest-cell", "1")
    assert f"{state / 'evaluation'}: all tables; they stay here" in capsys.readouterr().out
    assert not (state / "evaluation" / "comparisons.csv").exists()
    baseline = home(over).baseline("paper", "standard", 1)
    tensors, about = files.load(state / evaluate.MODEL)
    files.save(baseline, tensors, **about)
    chexviz("site", "evaluate", "--results", over, "--study", STUDIED.digest[:4])
    assert (state / "evaluation" / "comparisons.csv").is_file()
    with pytest.raises(InputError, match=f"those of {STUDIED.digest[:16]}"):
        chexviz("site", "evaluate", "--results", over, "--study", "x")
    with pytest.raises(InputError, match="stay joined until the last round is over"):
        chexviz("site", "evaluate", "--results", over, "--state", over)


def test_what_leaves_is_what_the_operator_agreed_to(over, caplog):
    model = over / "federation" / STUDIED.digest[:16] / evaluate.MODEL
    assert results.Shared(home(over), [], 5)(model) == {}
    shared = results.Shared(home(over), ["metrics", "calibration"], 1)(model)
    assert [*shared] == ["metrics.csv", "calibration.csv"]
    assert shared["metrics.csv"].startswith("site,finding,head,architecture")
    missing = Home(About(name="north", evaluation={}), over, over / "federation")
    assert results.Shared(missing, ["metrics"], 1)(model) == {}
    assert "nothing is shared" in caplog.messages[-1]


def test_tables_that_may_be_shared_are_those_of_disclosure():
    from chexviz.evaluation import disclosure

    assert {*join.TABLES} == {*disclosure.TABLES}
