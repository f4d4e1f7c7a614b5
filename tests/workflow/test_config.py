"""What is refused before any job starts, and the plan of the paper itself."""

import os

import pytest
import yaml


def paper(workflow, *options: str, **environment: str):
    """Run the paper's own configuration in an empty home, so that no credentials are found."""
    hidden = {"HOME": str(workflow.folder), "KAGGLE_CONFIG_DIR": str(workflow.folder)}
    workflow.configure(
        {
            "sites": {
                "rsna": {"source": ["kaggle-competition:rsna-pneumonia-detection-challenge"]},
                "siim": {"source": ["kaggle-dataset:owner/name"]},
            }
        }
    )
    return workflow.run(*options, **hidden, **environment)


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        ({"trainning": {}}, "trainning"),
        ({"training": {"btach": 3}}, "btach"),
        ({"training": {"batch": "many"}}, "many"),
        ({"run": {"protocols": ["random"]}}, "random"),
        ({"run": {"methods": ["magic"]}}, "magic"),
        ({"run": {"sites": ["rsna", "elsewhere"]}}, "elsewhere"),
        ({"sites": {"rsna": {"reader": "nifti"}}}, "nifti"),
        ({"sites": {"rsna": {"source": ["ftp:somewhere"]}}}, "ftp:somewhere"),
        ({"sites": {"rsna": {"source": []}}}, "source"),
        ({"sites": {"Our Hospital": {}}}, "Our Hospital"),
        ({"preprocess": {"size": 100}}, "100"),
        ({"architectures": {"resnet": {}}}, "resnet"),
    ],
)
def test_a_wrong_config_is_refused_before_anything_runs(workflow, overlay, said):
    workflow.configure(overlay)
    done = workflow.plan()
    assert done.returncode != 0
    assert said in done.stdout
    assert "Traceback" not in done.stdout
    assert not (workflow.folder / "results").exists()


def test_without_credentials_the_paper_stops_before_any_job(workflow):
    unset = {name: "" for name in os.environ if name.startswith("KAGGLE")}
    done = paper(workflow, **unset)
    assert done.returncode != 0
    for part in ("rsna", "KAGGLE_API_TOKEN", "make demo"):
        assert part in done.stdout
    assert not (workflow.folder / "resources").exists()
    assert not (workflow.folder / "results").exists()
    assert "Traceback" not in done.stdout


def test_a_missing_local_folder_stops_before_any_job(workflow):
    workflow.configure({"sites": {"rsna": {"source": ["local:nowhere/at/all"]}}})
    done = workflow.run()
    assert done.returncode != 0
    assert "nowhere/at/all" in done.stdout
    assert not (workflow.folder / "resources").exists()


def test_the_papers_plan(workflow, repository):
    """The paper's own config plans two protocols of two architectures over two sites."""
    workflow.overlay = repository / "config" / "config.yaml"
    planned = workflow.planned()
    assert planned["train_baseline"] == 8
    assert planned["train_federated"] == 4
    assert planned["warmup"] == 4
    assert planned["predict"] == 8


def test_the_demo_only_shrinks(repository):
    """Its keys are keys of the paper's config; methods, splits and statistics are the paper's.

    It adds a site that trains nothing, so that it changes no model.
    """
    paper, demo = (
        yaml.safe_load((repository / "config" / name).read_text())
        for name in ("config.yaml", "demo.yaml")
    )

    def check(overlay, base, path):
        for key, value in overlay.items():
            assert key in base, [*path, key]
            if isinstance(value, dict):
                check(value, base[key], [*path, key])

    assert demo["sites"].pop("abroad")["role"] == "external"
    assert demo.pop("run") == {"sites": [*paper["run"]["sites"], "abroad"], "privacy": True}
    check(demo, paper, [])
    # Its sets are smaller, so that a number needs fewer cases; and of no model in the study:
    assert demo["evaluation"].keys() == {"minimum_cases", "coverage", "simulation"}
    assert demo["evaluation"]["minimum_cases"] == 10
    assert "split" not in demo


def test_the_workflow_passes_snakemakes_linter(workflow):
    assert "Congratulations" in workflow.succeed("--lint")


def test_jobs_do_not_grow_with_sites_times_models(workflow):
    """A site more is what it downloads, packs and trains alone; a model scores all in one job."""
    about = {"findings": ["pneumonia"], "reader": "table", "source": ["phantom"]}
    sites = {f"s{number}": about | {"title": f"Site {number}"} for number in range(6)}
    planned = {}
    for count in (4, 6):
        workflow.configure({"run": {"sites": list(sites)[:count]}, "sites": sites})
        planned[count] = workflow.planned()
    more = {name: jobs - planned[4][name] for name, jobs in planned[6].items()}
    a_site = {"download": 1, "preprocess": 1, "train_baseline": 4, "warmup": 2, "split_paper": 1}
    grown = {name: jobs // 2 for name, jobs in more.items() if jobs}
    assert grown == a_site
    assert planned[6]["predict"] == 2 * 2 * 2  # protocols, architectures, methods
