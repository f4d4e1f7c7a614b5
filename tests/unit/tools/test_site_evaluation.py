"""A site evaluates a federation's model by itself, as the workflow would, and shares little."""

import json

import numpy as np
import pandas as pd
import pytest

from chexviz.base.errors import InputError
from chexviz.base.tables.evaluation import COMPARISONS, MODEL_METRICS, read_comparisons
from chexviz.base.tables.models import PREDICTIONS
from chexviz.base.tables.summaries import TABLE1
from chexviz.evaluation import evaluate
from chexviz.federation import train
from chexviz.models import files, predict
from chexviz.reporting.tables import table1
from chexviz.tools import join_evaluations, site_evaluation
from trainings import LABELLED, arguments
from trainings import SETTINGS as TRAINING

BOOTSTRAP = {"replicates": 100, "unit": "patient", "confidence": 0.95, "seed": 1}
SETTINGS = {
    "bootstrap": BOOTSTRAP,
    "minimum_cases": 5,
    "sensitivities": [0.9],
    "threads": 1,
    "margin": 0.05,
    "smallest_cell": 1,
}
SITES = ("north", "south")


def at_site(folder, model, site: str, name: str, **about) -> None:
    """A model's file as a site has it that takes part over a network: with its own head alone."""
    tensors, header = files.load(model)
    own = {key: one for key, one in tensors.items() if key.split(".")[0] != "tasks"}
    own |= {key: one for key, one in tensors.items() if key.startswith(f"tasks.{site}.")}
    header = header | {"heads": {site: header["heads"][site]}} | about
    files.save(folder / f"{name}.safetensors", own, **header)


@pytest.fixture(scope="module")
def study(larger_federation):
    """Two sites with their baselines, and a federation's model as each has it."""
    folder = larger_federation
    for site in SITES:
        train.main(arguments(folder, [site], f"{site}-baseline", rounds=1))
    train.main(arguments(folder, [*SITES], "global", rounds=2))
    for site in SITES:
        at_site(folder, folder / "global.safetensors", site, f"{site}-federated")
    return folder


def run(study, site: str, *words: str, output=None, baseline: bool = True, **settings):
    """What the entry point writes of a site: the folder."""
    output = output or study / f"{site}-out"
    options = [f"--model={study / f'{site}-federated.safetensors'}"]
    options += [f"--baseline={study / f'{site}-baseline.safetensors'}"] * baseline
    site_evaluation.main(
        [
            *("--site", site, *LABELLED[site]),
            *(f"--folder={study / site}", f"--split={study / site / 'split.csv'}"),
            *options,
            f"--settings={json.dumps(SETTINGS | settings)}",
            f"--output={output}",
            *words,
        ]
    )
    return output


@pytest.fixture(scope="module")
def workflows(study):
    """Metrics and comparisons as the workflow makes them, of both sites on one machine."""
    known = [word for one in SITES for word in ("--findings", one, "train", *LABELLED[one])]
    common = [*known, f"--images={study / 'sites.csv'}", f"--split={study / 'split.csv'}"]
    options = []
    for method, names in (
        ("baseline", [f"{site}-baseline" for site in SITES]),
        ("fedavg", ["global"]),
    ):
        paths = [str(study / f"{name}.safetensors") for name in names]
        out = study / f"{method}.csv"
        words = ["--model", *paths, f"--predictions={out}", f"--gradcam={study / 'maps.npz'}"]
        predict.main([*common, '--settings={"threads": 1}', *words])
        options += ["--prediction", "standard", method, "1", str(out)]
    outputs = {name: study / f"{name}.csv" for name in ("metrics", "comparisons", "roc")}
    settings = json.dumps({"bootstrap": BOOTSTRAP, "minimum_cases": 5})
    evaluate.main(
        [
            *(*options, *known, f"--settings={settings}", "--margin=0.05"),
            *(f"--{name}={path}" for name, path in outputs.items()),
        ]
    )
    return MODEL_METRICS.read(outputs["metrics"]), COMPARISONS.read(outputs["comparisons"])


def same(found: pd.DataFrame, expected: pd.DataFrame, **options) -> None:
    key = ["site", "method"] + ["test"] * ("test" in found)
    one, other = (table.sort_values(key, ignore_index=True) for table in (found, expected))
    pd.testing.assert_frame_equal(one, other, check_dtype=False, **options)


def test_a_sites_numbers_are_those_of_the_workflow(study, workflows):
    metrics, comparisons = workflows
    for site in SITES:
        output = run(study, site)
        same(MODEL_METRICS.read(output / "metrics.csv"), metrics[metrics["site"] == site])
        found = COMPARISONS.read(output / "comparisons.csv")
        expected = comparisons[comparisons["site"] == site]
        same(found.drop(columns="p_holm"), expected.drop(columns="p_holm"))
        assert read_comparisons(output / "comparisons.csv")["test"].tolist() == [
            "bootstrap_patients"
        ]
        assert {*PREDICTIONS.read(output / "predictions" / "fedavg.csv")["head"]} == {site}


def test_the_coordinator_joins_what_sites_share_to_the_tables_of_the_study(study, workflows):
    shares = [str(run(study, site) / "share") for site in SITES]
    joined = study / "joined"
    join_evaluations.main(["--site", *SITES, "--share", *shares, f"--output={joined}"])
    for name, expected in zip(("metrics", "comparisons"), workflows, strict=True):
        table = {"metrics": MODEL_METRICS, "comparisons": COMPARISONS}[name]
        same(table.read(joined / f"{name}.csv"), expected, rtol=0, atol=6e-4)
    titles = [
        {"name": site, "title": site.title(), "role": "train", "findings": LABELLED[site]}
        for site in SITES
    ]
    outputs = [f"--{kind}={joined / f'table1.{kind}'}" for kind in ("csv", "tex", "md")]
    table1.main(
        [
            *(f"--{name}={joined / f'{name}.csv'}" for name in ("metrics", "comparisons")),
            *("--method=fedavg", f"--titles={json.dumps(titles)}", "--mark=", *outputs),
        ]
    )
    table = TABLE1.read(joined / "table1.csv")
    assert len(table) == 4
    assert table["p"].notna().sum() == 2


def test_only_aggregate_tables_are_offered(study, capsys):
    output = run(study, "north", smallest_cell=2)
    share = output / "share"
    assert f"{share} may be shared: metrics (2 rows), comparisons (" in (capsys.readouterr().out)
    assert sorted(path.name for path in share.iterdir()) == [
        *("calibration.csv", "comparisons.csv", "metrics.csv")
    ]
    samples = pd.read_csv(study / "north" / "samples.csv", dtype=str)
    for path in share.iterdir():
        text = path.read_text()
        for column in ("image", "patient", "file", "sha256"):
            assert not [one for one in samples[column] if one in text]
    metrics = MODEL_METRICS.read(share / "metrics.csv")
    assert (metrics[["images", "patients", "positives"]] % 2 == 0).all(axis=None)


def test_a_site_with_few_patients_shares_nothing(study):
    share = run(study, "north", smallest_cell=1000) / "share"
    for path in share.iterdir():
        assert len(path.read_text().splitlines()) == 1


def test_without_a_baseline_nothing_is_compared(study, tmp_path, workflows):
    assert (run(study, "south", output=tmp_path) / "share" / "comparisons.csv").exists()
    output = run(study, "south", "--method", "ours", output=tmp_path, baseline=False)
    assert not (output / "share" / "comparisons.csv").exists()
    found = MODEL_METRICS.read(output / "share" / "metrics.csv")
    assert found["method"].tolist() == ["ours"]
    metrics = workflows[0]
    expected = metrics[(metrics["site"] == "south") & (metrics["method"] == "fedavg")]
    np.testing.assert_allclose(found["auroc"], expected["auroc"], atol=6e-4)
    joined = tmp_path / "joined"
    share = str(output / "share")
    join_evaluations.main(["--site", "south", "--share", share, f"--output={joined}"])
    assert COMPARISONS.read(joined / "comparisons.csv").empty


def test_a_head_that_all_share_is_evaluated_for_the_sites_findings(study, tmp_path):
    method = TRAINING["method"] | {"heads": "shared"}
    train.main(arguments(study, [*SITES], "shared", rounds=1, method=method))
    about = files.load(study / "shared.safetensors")[1]
    assert [*about["heads"]["shared"]] == ["pneumonia", "pneumothorax"]
    model = f"--model={study / 'shared.safetensors'}"
    output = run(study, "south", model, output=tmp_path, baseline=False)
    metrics = MODEL_METRICS.read(output / "metrics.csv")
    assert metrics[["finding", "head"]].values.tolist() == [["pneumothorax", "shared"]]


def test_a_model_with_heads_of_others_is_refused(study, tmp_path):
    with pytest.raises(InputError, match=r"heads of north, south\n.*written at this site"):
        run(study, "north", f"--model={study / 'global.safetensors'}", output=tmp_path)
    with pytest.raises(InputError, match="heads of south"):
        run(study, "north", f"--model={study / 'south-federated.safetensors'}", output=tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_baseline_of_another_seed_is_refused_before_any_work(study, tmp_path):
    at_site(study, study / "north-baseline.safetensors", "north", "other", seed=2)
    with pytest.raises(InputError, match=r"found: +standard, 2"):
        run(study, "north", f"--baseline={study / 'other.safetensors'}", output=tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_folder_that_is_no_prepared_site_is_refused(study, tmp_path):
    with pytest.raises(InputError, match=r"images\.npy or shards\.csv"):
        run(study, "north", f"--folder={tmp_path}", output=tmp_path / "out")


def test_a_site_cannot_speak_for_another(study, tmp_path):
    shares = [str(run(study, site) / "share") for site in SITES]
    words = ["--site", "north", "south", "--share", shares[0], shares[0]]
    with pytest.raises(InputError, match="rows of the site south alone"):
        join_evaluations.main([*words, f"--output={tmp_path}"])
    assert not any(tmp_path.iterdir())
