"""From a trained model to its bundle: whole, equal to the pipeline, and told about in a card."""

import html
import json
import re

import numpy as np
import onnx
import pandas as pd
import pytest

import hostile
from chexviz.base.tables.evaluation import MODEL_METRICS, SUBGROUPS
from chexviz.base.tables.models import PREDICTIONS
from chexviz.base.tables.study import LEAKAGE, PARTICIPANTS
from chexviz.federation import train
from chexviz.images.arrays import open_images
from chexviz.inference import card, export
from chexviz.inference.bundle import ABOUT, PARTS, open_bundle
from chexviz.inference.runtime import Runtime
from chexviz.models import predict
from chexviz.models.files import load
from trainings import arguments, files

SITES = ["north", "south"]
FINDINGS = {"north": "pneumonia", "south": "pneumothorax"}
TITLES = [
    {"name": name, "title": title, "role": "train", "findings": [FINDINGS[name]]}
    for name, title in zip(SITES, ("North", hostile.TEXT), strict=True)
]
SETTINGS = {
    "bootstrap": {"replicates": 10, "unit": "patient", "confidence": 0.95, "seed": 1},
    "minimum_cases": 5,
    "sensitivities": [0.9],
    "preprocessing": {"size": 32, "fit": "pad", "max_pixels": 10**6},
}
MARK = f"DEMO: {hostile.TEXT}"


def table_of(table, rows: list[dict], path) -> list[str]:
    """Write rows whose other columns are 0, or nothing; the option that names the file."""
    names = [*dict.fromkeys([*table.names, *(key for row in rows for key in row)])]
    empty = {name: 0 if table.column(name).type in (int, float) else "" for name in names}
    table.write(pd.DataFrame([empty | row for row in rows])[names], path)
    return [f"--{path.stem}", str(path)]


def tables(folder) -> list[str]:
    """Tables of results as the stages before write them, of known numbers."""
    model = {"architecture": "standard", "method": "fedavg", "seed": 1}
    metrics, groups, people, leaks = [], [], [], []
    for site, finding in FINDINGS.items():
        endpoint = {"site": site, "finding": finding, "head": site}
        numbers = {"images": 60, "positives": 20, "threshold": 0.25, "auroc": 0.842}
        numbers |= {"auroc_low": 0.801, "auroc_high": 0.883}
        metrics += [endpoint | model | numbers, endpoint | model | numbers | {"method": "baseline"}]
        group = {"attribute": "view", "group": "AP", "measure": "auroc", "images": 31}
        numbers = {"value": 0.777, "low": np.nan, "high": np.nan}
        groups += [endpoint | model | group | numbers, endpoint | model | group | {"images": 0}]
        for protocol, subset in (("", "all"), ("paper", "train"), ("patient", "train")):
            keys = {"site": site, "protocol": protocol, "subset": subset, "images": 4321}
            people.append(keys | {f"positives_{finding}": 9, f"known_{finding}": 60})
        shared = {"protocol": "patient", "scope": "any", "shared": "any"}
        leaks.append(shared | {"site": site, "evaluation_images": 60, "affected_images": 7})
    return [
        *table_of(MODEL_METRICS, metrics, folder / "metrics.csv"),
        *table_of(SUBGROUPS, groups, folder / "subgroups.csv"),
        *table_of(PARTICIPANTS, people, folder / "participants.csv"),
        *table_of(LEAKAGE, leaks, folder / "audit.csv"),
    ]


def line(folder, bundle) -> list[str]:
    """The command line that makes a bundle of the model in a folder."""
    findings = [word for name in SITES for word in ("--findings", name, "train", FINDINGS[name])]
    return [
        *("--model", str(folder / "fed.safetensors"), "--predictions", str(folder / "p.csv")),
        *files(folder, SITES),
        *findings,
        *("--protocol", "patient", "--method", "fedavg", "--seed", "1", f"--mark={MARK}"),
        *("--titles", json.dumps(TITLES), "--settings", json.dumps(SETTINGS)),
        *tables(folder),
        *("--folder", str(bundle)),
    ]


@pytest.fixture(scope="module")
def trained(larger_federation):
    """Two sites, their model and its predictions."""
    folder = larger_federation
    train.main(arguments(folder, SITES, "fed", rounds=2))
    findings = [word for name in SITES for word in ("--findings", name, "train", FINDINGS[name])]
    out = [f"--predictions={folder / 'p.csv'}", f"--gradcam={folder / 'p.npz'}"]
    model = ["--model", str(folder / "fed.safetensors"), '--settings={"threads": 1}']
    predict.main([*findings, *files(folder, SITES), *model, *out])
    return folder


@pytest.fixture(scope="module")
def bundle(trained):
    """The folder of its bundle."""
    folder = trained / "bundle"
    export.main(line(trained, folder))
    return folder


def test_a_bundle_scores_and_maps_as_the_pipeline_does(trained, bundle):
    about = open_bundle(bundle)
    assert about.outputs == [("pneumonia", "north"), ("pneumothorax", "south")]
    assert about.architecture == "standard"
    assert about.mark == MARK
    runtime = Runtime.of(bundle, about)
    table = PREDICTIONS.read(trained / "p.csv")
    split = pd.read_csv(trained / "split.csv").set_index(["site", "image"])["position"]
    with np.load(trained / "p.npz") as archive:
        kept = dict(archive)
    for site, finding in FINDINGS.items():
        rows = table[(table["site"] == site) & (table["finding"] == finding)]
        positions = [split[site, image] for image in rows["image"]]
        images = open_images(trained / site / "images.npy")[0][positions]
        seen = runtime.run(images, mapped=True)
        found = seen.scores[finding, about.findings[SITES.index(site)].answer]
        np.testing.assert_allclose(found, rows["score"], rtol=0, atol=1e-4)
        names = rows["image"].tolist()
        mapped = [names.index(one) for one in kept[f"image_{site}_{finding}_{site}"]]
        maps, expected = seen.maps[finding][mapped], kept[f"map_{site}_{finding}_{site}"]
        assert len(expected) > 10
        np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-4 * max(expected.max(), 1e-9))


def test_thresholds_are_those_of_validation_images(trained, bundle):
    table = PREDICTIONS.read(trained / "p.csv")
    for finding in open_bundle(bundle).findings:
        chosen = table[(table["finding"] == finding.name) & (table["subset"] == "validation")]
        chosen = chosen[chosen["label"].notna()]
        assert finding.learned.images == len(chosen) == 60
        assert finding.learned.point("youden").threshold in set(chosen["score"])
        at_least = finding.learned.point("sensitivity-0.9").threshold
        assert (chosen["score"][chosen["label"] == 1] >= at_least).mean() >= 0.9


def test_the_same_inputs_make_the_same_bytes(trained, bundle, tmp_path):
    export.main(line(trained, tmp_path / "again"))
    for name in (*PARTS, ABOUT):
        assert (bundle / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    assert sorted(path.name for path in bundle.iterdir()) == sorted([*PARTS, ABOUT])


def test_the_weights_are_the_models(trained, bundle):
    given, about = load(bundle / "model.safetensors")
    assert about["mark"] == MARK
    props = onnx.load(bundle / "model.onnx").metadata_props
    assert {one.key: one.value for one in props} == {"note": card.RESEARCH, "mark": MARK}
    wanted, _ = load(trained / "fed.safetensors")
    assert given.keys() == wanted.keys()
    assert all((given[name] == wanted[name]).all() for name in wanted)


def test_a_bundle_that_is_not_equal_to_pytorch_is_not_written(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(Exception, match="a difference of"):
        export.main(line(trained, tmp_path / "bundle"))
    assert [*(tmp_path / "bundle").iterdir()] == []


def test_the_card_says_what_the_tables_say(bundle):
    about = open_bundle(bundle)
    text, page = (bundle / "card.md").read_text(), (bundle / "card.html").read_text()
    bare = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    plain = html.unescape(re.sub(r"<[^>]+>", " ", bare))
    for said in (
        "Model card: Standard, FedAvg",
        "Research use only; not a medical device.",
        "0.842 (0.801–0.883)",
        "7 of 60 evaluation images",
        "None: no site of the study was left out of training.",
        "4,321",
        "0.777",
        "32 x 32 pixels",
        about.made_from["model"],
        "From 60 validation images, 20 positive.",
    ):
        assert said in plain
        assert said in re.sub(r"\\([^\w\s])", r"\1", text)
    assert text.count("0.842 (0.801–0.883)") == 2  # the method's rows, not the baseline's
    assert text.count("view AP") == 2  # not the groups without images
    assert "paper: training" not in text


def test_the_card_says_what_privacy_promises():
    spent = {"unit": "patient", "epsilon": 2.9912, "delta": 1e-5, "noise": "seed"}
    said, (_, noise, covered) = card.privacy(spent)
    assert "epsilon of at most 2.99 at a delta of 1e-5" in said
    assert "seed of the run" in noise
    assert "Thresholds, calibration" in covered
    assert "secret of whoever added it" in card.privacy(spent | {"noise": "secret"})[1][1]
    said, (bounds, *_) = card.privacy(spent | {"unit": "site"})
    assert "differential privacy for every site" in said
    assert "nothing of what the server saw, which was without noise" in bounds


def test_programs_are_told_the_numbers_of_the_card(bundle):
    found = open_bundle(bundle).tested
    whole = [one for one in found if one.attribute == "all"]
    assert [one.finding for one in whole] == list(FINDINGS.values())
    assert [one.measures["auroc"] for one in whole] == [(0.842, 0.801, 0.883)] * 2
    assert {*whole[0].measures} == {"auroc", "aupr", "sensitivity", "specificity"}
    (group,) = [one for one in found if one.attribute == "view" and one.finding == "pneumonia"]
    assert (group.site, group.group) == (whole[0].site, "AP")
    assert group.measures == {"auroc": (0.777, None, None)}


def test_a_baseline_is_of_its_own_site_alone(trained, tmp_path):
    for site in SITES:
        train.main(arguments(trained, [site], site, rounds=1))
    findings = [word for name in SITES for word in ("--findings", name, "train", FINDINGS[name])]
    models = ["--model", *(str(trained / f"{site}.safetensors") for site in SITES)]
    out = [f"--predictions={tmp_path / 'p.csv'}", f"--gradcam={tmp_path / 'p.npz'}"]
    settings = '--settings={"threads": 1}'
    predict.main([*findings, *files(trained, SITES), *models, settings, *out])
    words = line(trained, tmp_path / "bundle")
    for option, value in (
        ("--model", trained / "north.safetensors"),
        ("--predictions", tmp_path / "p.csv"),
        ("--method", "baseline"),
    ):
        words[words.index(option) + 1] = str(value)
    export.main(words)
    about = open_bundle(tmp_path / "bundle")
    assert about.outputs == [("pneumonia", "north")]
    assert [(one.title, one.trains) for one in about.sites] == [("North", True)]
    assert [one.site for one in about.tested if one.attribute == "all"] == ["North"]
    assert about.findings[0].learned.images == 60
    text = (tmp_path / "bundle" / "card.md").read_text()
    assert text.startswith("# Model card: Standard, baseline of North\n")
    assert "that one site has trained alone (Baseline, seed 1)" in text
    assert "pneumothorax" not in text


def test_no_text_of_the_config_is_markup_in_a_card(bundle):
    page, text = (bundle / "card.html").read_text(), (bundle / "card.md").read_text()
    assert html.escape(MARK) in page
    assert html.escape(hostile.TEXT) in page
    assert "<script>" not in page
    assert "<script>" not in text.replace(r"\<script\>", "")


def test_as_many_images_of_each_site_are_looked_at_evenly(trained):
    split = pd.read_csv(trained / "split.csv")
    found = export.study_images(trained / "sites.csv", split, 10)
    assert len(found) == 10
    north = open_images(trained / "north" / "images.npy")[0]
    assert (found[:5] == north[[0, 74, 149, 224, 299]]).all()
    assert len(export.study_images(trained / "sites.csv", split, 1)) == 2  # one of each at least


def test_a_card_without_much_to_say():
    assert card.by_group(pd.DataFrame(), TITLES) == ["Not evaluated."]
