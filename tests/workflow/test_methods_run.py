"""A run of several methods and two seeds: what each makes, and what is said about them."""

import pandas as pd
import pytest

from running import THREE, Workflow

METHODS = ["scaffold", "pooled", "ensemble", "dp8"]
PRIVACY = {"epsilon": 8, "delta": 1.0e-3, "clip": 1.0}
SITES = ["siim", "hospital"]  # of one task, so that there is something to ensemble
SEVERAL = THREE | {
    "run": {
        **{"sites": SITES, "protocols": ["paper"], "architectures": ["standard"]},
        **{"methods": METHODS, "seeds": [2022, 2023], "privacy": False},
    },
    "methods": {"dp8": {"algorithm": "fedavg", "batchnorm": "frozen", "privacy": PRIVACY}},
}
SHOWN = ["tables/paper/methods.csv", "tables/paper/table1.csv"]
SHOWN += [f"figures/paper/{name}.png" for name in ("training", "exchange", "epsilon")]
TARGETS = ["--", *(f"results/demo/{name}" for name in SHOWN)]


@pytest.fixture(scope="module")
def done(finished, tmp_path_factory) -> Workflow:
    """A finished run of four methods, with data and baselines of an earlier one."""
    others = ("rsna*", "patient", "densenet121", "fedavg", "predictions", "evaluation")
    folder = tmp_path_factory.mktemp("methods") / "run"
    workflow = finished.copy(folder, *others, "tables", "figures")
    workflow.configure(SEVERAL)
    workflow.succeed(*TARGETS)
    return workflow


def read(done, pattern: str) -> pd.DataFrame:
    (path,) = done.results(pattern)
    return pd.read_csv(path)


def test_every_method_is_in_the_table_with_what_it_sends(done):
    table = read(done, "tables/paper/methods.csv")
    assert table["method"].tolist() == [name for name in ["baseline", *METHODS] for _ in SITES]
    assert set(table["seeds"]) == {2}
    assert table["auroc_sd"].notna().all()
    sent = table.drop_duplicates("method").set_index("method")["sent"]
    assert sent["scaffold"] > 0
    assert (sent[["baseline", "pooled", "ensemble"]] == 0).all()
    metrics = read(done, "evaluation/paper/metrics.csv")
    private = table[table["method"] == "dp8"]
    assert private["epsilon"].between(7.5, 8.0).all()
    assert set(private["delta"]) == {1e-3}
    assert table.loc[table["method"] != "dp8", ["epsilon", "delta"]].isna().all(axis=None)
    runs = metrics[(metrics["method"] == "scaffold") & (metrics["site"] == "siim")]
    row = table[(table["method"] == "scaffold") & (table["site"] == "siim")].iloc[0]
    assert row["auroc"] == pytest.approx(runs["auroc"].mean())
    assert row["auroc_sd"] == pytest.approx(runs["auroc"].std())
    for suffix in ("tex", "md"):
        (path,) = done.results(f"tables/paper/methods.{suffix}")
        assert all(text in path.read_text() for text in ("DEMO", "SCAFFOLD", "Ensemble"))


def test_table_1_shows_the_baseline_and_the_first_method(done):
    table = read(done, "tables/paper/table1.csv")
    assert set(table["model"]) == {"Standard", "Standard w/ SCAFFOLD"}


def test_histories_say_what_was_trained_and_an_ensemble_has_none(done):
    folder = "models/paper/standard"
    assert not done.results(f"{folder}/ensemble")
    assert len(done.results(f"{folder}/*/seed*/*.history.csv")) == 2 * (len(SITES) + 3)
    scaffold = read(done, f"{folder}/scaffold/seed2022/global.history.csv")
    assert scaffold[["round", "site"]].to_numpy().tolist() == [
        [number, site] for number in (1, 2) for site in SITES
    ]
    assert (scaffold["drift"] > 0).all()
    pooled = read(done, f"{folder}/pooled/seed2023/global.history.csv")
    assert pooled["site"].tolist() == ["siim+hospital"] * 2


def test_the_figures_of_the_training_are_in_the_report(done):
    for name in ("training", "exchange", "epsilon"):
        for suffix in ("pdf", "png"):
            (path,) = done.results(f"figures/paper/{name}.{suffix}")
            assert path.stat().st_size > 10_000
    done.succeed("--report", "report.html", *TARGETS)
    page = (done.folder / "report.html").read_text()
    for name in ("training.png", "exchange.png", "epsilon.png", "methods.csv"):
        assert f'"name": "{name}"' in page, name


def test_another_method_trains_nothing_but_itself(done):
    run = SEVERAL["run"] | {"methods": [*METHODS, "fedprox"]}
    done.configure(SEVERAL | {"run": run})
    planned = done.planned(*TARGETS)
    done.configure(SEVERAL)
    assert planned["train_federated"] == 2  # seeds
    assert planned["predict"] == 2
    assert "train_baseline" not in planned
    assert planned["table_methods"] == planned["figure_training"] == planned["figure_exchange"] == 1


def test_processes_over_a_network_train_the_same_bytes(done):
    """Another engine makes the federation anew, and it alone; all else takes its files."""
    names = ("global.safetensors", "global.history.csv")
    (folder,) = done.results("models/paper/standard/scaffold/seed2022")
    before = [(folder / name).read_bytes() for name in names]
    run = SEVERAL["run"] | {"methods": ["scaffold"], "seeds": [2022]}
    done.configure(SEVERAL | {"run": run, "training": {"engine": "flower"}})
    target = [str((folder / names[0]).relative_to(done.folder))]
    try:
        assert done.planned("--", *target) == {"train_over_network": 1}
        done.succeed("--", *target)
    finally:
        done.configure(SEVERAL)
    assert [(folder / name).read_bytes() for name in names] == before
    assert not list(folder.glob("*.network"))
