"""The whole workflow on three phantom sites, a hospital among them; and what a second run does."""

import copy
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open

from browser import PANEL, PHONE, opened
from chexviz.data.phantom.population import COPIES
from chexviz.images.arrays import open_images
from made_phantoms import planted
from running import FORECAST, SITES, THREE, TINY, Workflow


def test_every_artifact_comes_out(done):
    for protocol in ("paper", "patient"):
        names = ["figure2", "figure3", "training", "exchange", "localisation", "contact_sheet"]
        names += ["chexlocalize", "calibration", "decision", "subgroups", "shortcuts", "crosstask"]
        for name in [*names, "failures"]:
            for suffix in ("pdf", "png"):
                (path,) = done.results(f"figures/{protocol}/{name}.{suffix}")
                assert path.stat().st_size > 10_000, path
        for suffix in ("csv", "tex", "md"):
            for name in ("table1", "methods"):
                (path,) = done.results(f"tables/{protocol}/{name}.{suffix}")
                assert "DEMO" in path.read_text()
    (paper,) = done.results("paper.pdf")
    assert paper.read_bytes().startswith(b"%PDF")
    for name in ("figure1", "audit", "flow", "privacy"):
        assert len(done.results(f"figures/{name}.*")) == 2
    assert len(done.results("tables/participants.*")) == 3


def test_the_tour_follows_an_image_to_its_number(done, repository):
    """All its commands, in one shell as a reader has it."""
    text = (repository / "docs" / "tour.md").read_text()
    script = "".join(re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S))
    line = ["bash", "-euo", "pipefail", "-c", script]
    shell = subprocess.run(
        line, capture_output=True, text=True, cwd=done.folder, env=done.environment()
    )
    assert shell.returncode == 0, shell.stderr
    (drawn,) = done.results("radiograph.png")
    drawn.unlink()
    (computed,) = re.findall(r"^(0\.\d{3}|1\.000)$", shell.stdout, re.M)
    (row,) = re.findall(r"^\| .* \| Standard \|.*$", shell.stdout, re.M)
    assert row.split(" | ")[6].startswith(computed)


def test_chest_tubes_go_from_the_phantoms_table_to_what_is_said_of_them(done):
    (path,) = done.results("sites/siim/samples.csv")
    tubes = pd.read_csv(path).groupby("label_pneumothorax")["attribute_chest_tube"]
    shares = tubes.value_counts(normalize=True).unstack()["yes"]
    assert shares[0] < 0.3 < 0.5 < shares[1]
    (path,) = done.results("evaluation/patient/shortcuts.csv")
    table = pd.read_csv(path)
    assert set(table["site"][table["attribute"] == "chest_tube"]) == {"siim"}
    (path,) = done.results("evaluation/patient/subgroups.csv")
    assert "chest_tube" in set(pd.read_csv(path)["attribute"])
    (path,) = done.results("evaluation/patient/representation.csv")
    assert set(pd.read_csv(path)["method"]) == {"baseline", "fedavg", "untrained"}


def test_a_head_is_evaluated_on_the_hospitals_other_finding(done):
    (path,) = done.results("evaluation/paper/crosstask.csv")
    table = pd.read_csv(path, keep_default_na=False)
    table = table[(table["measure"] == "auroc") & (table["head"] == "rsna")]
    table = table[table["labels"] == "pneumonia"].drop_duplicates("site").set_index("site")
    assert table["images"]["siim"] == 0
    assert table["images"]["hospital"] == 18  # a fifth of 90
    assert "no labels" in table["note"]["siim"]
    assert "no labels" not in table["note"]["hospital"]


def test_maps_are_compared_with_the_hospitals_lungs(done):
    for protocol in ("paper", "patient"):
        (path,) = done.results(f"evaluation/{protocol}/chexlocalize.csv")
        table = pd.read_csv(path)
        assert set(table.loc[table["measure"] == "lung_energy", "site"]) == {"hospital"}
        lungs = table.query("measure == 'lung_energy' and over == 'positives'")
        assert lungs["value"].between(0, 1).all()
        assert lungs["chance"].between(0.1, 0.6).all()
        outlined = table.query("site == 'hospital' and measure == 'iou' and over == 'positives'")
        assert (outlined["unannotated"] == 0).all()
        assert outlined["images"].tolist() == lungs["images"].tolist()


def test_nothing_but_results_is_left(done):
    left = done.results("**/.*.partial*") + done.results("**/*.checkpoint") + done.results("**/.*")
    assert left == []


def test_every_file_is_in_samples_or_rejected(done):
    for site in SITES:
        manifest = pd.read_csv(done.folder / f"resources/demo/{site}/manifest.csv", dtype=str)
        (folder,) = done.results(f"sites/{site}")
        samples = pd.read_csv(folder / "samples.csv", dtype=str, keep_default_na=False)
        rejected = pd.read_csv(folder / "rejected.csv", dtype=str, keep_default_na=False)
        radiographs = manifest.loc[manifest["file"].str.endswith(".dcm"), "file"]
        assert set(radiographs) == set(samples["file"]) | (set(rejected["file"]) & set(radiographs))
        assert not set(samples["file"]) & set(rejected["file"])
        stacks = open_images(folder / ("shards.csv" if site == "hospital" else "images.npy"))
        assert len(stacks) == (2 if site == "hospital" else 1)
        assert sum(map(len, stacks)) == len(samples)
        assert all((one.dtype, *one.shape[1:]) == (np.uint8, 32, 32) for one in stacks)


def test_the_number_of_shards_changes_no_model(done, tmp_path):
    """A copy of the run in which the hospital is one piece again comes to the same bytes."""
    whole = done.copy(tmp_path / "run", "models", "duplicates.csv", "splits")
    shutil.rmtree(whole.results("sites/hospital")[0])
    overlay = copy.deepcopy(THREE)
    del overlay["sites"]["hospital"]["shards"]
    whole.configure(overlay)
    names = ["sites/hospital/samples.csv", "duplicates.csv"]
    names += ["splits/paper/hospital.csv", "splits/patient/rsna.csv"]
    names += ["models/paper/standard/baseline/seed2022/hospital.safetensors"]
    whole.succeed("--", *(f"results/demo/{name}" for name in names))
    assert not whole.results("sites/hospital/shards*")
    for name in names:
        assert whole.results(name)[0].read_bytes() == done.results(name)[0].read_bytes(), name


def test_the_global_model_has_every_sites_task_block(done):
    path = done.results("models/paper/densenet121/fedavg/seed2022/global.safetensors")[0]
    with safe_open(path, framework="pt") as file:
        tensors = set(file.keys())
        heads = json.loads(file.metadata()["chexviz"])["heads"]
    findings = {"rsna": ["pneumonia"], "siim": ["pneumothorax"], "hospital": ["pneumothorax"]}
    assert heads == findings
    assert {name.split(".")[1] for name in tensors if name.startswith("tasks.")} == set(SITES)
    assert len([name for name in tensors if name.startswith("representation.")]) > 600


def test_three_sites_are_compared_with_their_baselines(done):
    for protocol in ("paper", "patient"):
        table = pd.read_csv(done.results(f"evaluation/{protocol}/comparisons.csv")[0])
        assert set(table["site"]) == set(SITES)
        metrics = pd.read_csv(done.results(f"evaluation/{protocol}/metrics.csv")[0])
        fewest = metrics["positives"].groupby(metrics["site"]).first()
        assert fewest.min() > 0
        # DeLong's variance needs two positives; a fifth of 90 images may hold a single one.
        tests = {site: 4 if fewest[site] > 1 else 3 for site in SITES}
        assert table.groupby(["site", "architecture"]).size().to_dict() == {
            (site, architecture): count
            for site, count in tests.items()
            for architecture in ("densenet121", "standard")
        }
        # So few images hold too few cases for any test.
        assert table["note"].str.contains("too few cases: .* of at least 10").all()
        assert table["difference"].between(-1, 1).all()
        assert table[["p", "p_holm", "low", "high"]].isna().all(axis=None)


@pytest.mark.parametrize("name", ["simulation", "coverage"])
def test_a_simulation_has_the_repetitions_of_the_settings(done, name):
    table = pd.read_csv(done.results(f"evaluation/{name}.csv")[0])
    assert set(table["repetitions"]) == {TINY["evaluation"][name]["repetitions"]}


def test_the_paper_protocol_leaks_and_the_patient_protocol_does_not(done):
    leaks = {
        protocol: pd.read_csv(done.results(f"audit/{protocol}.csv")[0])["affected_images"].sum()
        for protocol in ("paper", "patient")
    }
    assert leaks["paper"] > 0
    assert leaks["patient"] == 0


def unordered(pairs: pd.DataFrame) -> list[frozenset]:
    rows = pairs[["site_a", "image_a", "site_b", "image_b"]].itertuples(index=False, name=None)
    return [frozenset([row[:2], row[2:]]) for row in rows]


def test_the_planted_duplicates_are_found_and_no_others(done):
    tables = []
    for site, layout in zip(SITES, ("rsna", "siim", "table"), strict=True):
        truth = planted(layout, images=TINY["phantom"]["images"], seed=2022)
        tables.append(truth[truth["labelled"]].assign(site=site))
    truth = pd.concat(tables)
    both = unordered(truth.merge(truth, on="radiograph", suffixes=("_a", "_b")))
    pairs = {pair for pair in both if len(pair) == 2}
    found = unordered(pd.read_csv(done.results("duplicates.csv")[0], dtype=str))
    assert len(pairs) == 3 * COPIES + 3  # and one radiograph that all three sites hold
    assert set(found) == pairs
    assert len(found) == len(pairs)


def test_labels_and_tags_are_checked(done):
    table = pd.read_csv(done.results("audit/labels.csv")[0])
    missing = table.set_index(["site", "check", "group"]).loc[("siim", "missing", "patient")]
    assert missing["value"].tolist() == [1]
    table = table.set_index(["site", "finding", "check", "group"])
    own = {"rsna": "pneumonia", "siim": "pneumothorax", "hospital": "pneumothorax"}
    for site, finding in own.items():
        samples = pd.read_csv(done.results(f"sites/{site}/samples.csv")[0])
        for view, rows in samples.groupby("view"):
            found = table.loc[(site, finding, "positive", f"view {view}"), ["images", "count"]]
            assert found.tolist() == [len(rows), rows[f"label_{finding}"].sum()]
        # Copies of a radiograph carry its label.
        assert table.loc[(site, finding, "conflicting labels", site), "count"] == 0
        assert table.loc[(site, finding, "conflicting labels", site), "images"] == 2 * COPIES
    assert ("siim", "pneumothorax", "conflicting labels", "hospital") in table.index
    # The hospital labels the finding of rsna beside its own; both hold one radiograph.
    found = table.loc[("rsna", "pneumonia", "conflicting labels", "hospital"), ["images", "count"]]
    assert found.tolist() == [1, 0]
    assert "siim" not in table.loc[("rsna", "pneumonia", "conflicting labels")].index


def test_a_leak_of_the_patient_protocol_fails_the_run(done, repository, tmp_path):
    """A copy of the workflow whose split forgets what belongs together."""
    copy_of = tmp_path / "repository"
    ignore = shutil.ignore_patterns(".venv", ".git", ".snakemake", "results", "resources", "tests")
    shutil.copytree(repository, copy_of, ignore=ignore)
    module = copy_of / "workflow" / "chexviz" / "cohort" / "split.py"
    fault = "\ngroups = lambda images, pairs: np.arange(len(images))\n"
    whole = module.read_text()
    module.write_text(
        whole.replace('\nif __name__ == "__main__":', f'{fault}\nif __name__ == "__main__":')
    )
    assert module.read_text() != whole
    for name in ("sites", "duplicates.csv"):
        source, target = done.results(name)[0], tmp_path / "run" / "results" / "demo" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    shutil.copytree(done.folder / "resources", tmp_path / "run" / "resources")
    leaky = Workflow(tmp_path / "run", copy_of, THREE)
    leaky.succeed("--touch", "--until", "duplicates")
    run = leaky.run("--until", "split_patient")
    assert run.returncode != 0
    assert "protocol patient leaks" in run.stdout
    assert "share a patient with" in run.stdout
    assert not leaky.results("splits/patient/*.csv") + leaky.results("audit/patient.csv")
    assert not leaky.results("**/.*partial*")


def test_progress_is_told_in_plain_lines(done):
    told = r"train standard on rsna \+ siim \+ hospital, patient: batch (\d+)/\1, round 2, loss "
    assert re.search(told, done.said)
    assert "\r" not in done.said
    assert FORECAST not in done.said


@pytest.fixture(scope="module")
def report(done) -> Path:
    """The report, made as `make report` does."""
    page = done.folder / "report.html"
    made = done.tool("report", str(page))
    assert made.returncode == 0, made.stderr
    return page


REPORTED = (
    *("paper.pdf", "figures/**/*.png", "tables/**/*.csv", "evaluation/**/*.csv", "audit/*.csv"),
    *("sites/*/contract.csv", "models/p*/**/*.history.csv", "privacy/**/*.csv"),
)
# Data behind a figure, for readers of the files.
PLOTTED = {
    *("roc.csv", "reliability.csv", "distribution.csv", "decision.csv"),
    *("localisation_images.csv", "failures.csv", "flow.csv", "sources.csv"),
    *("membership_roc.csv", "shadow1.csv", "shadow2.csv"),
}
CATEGORIES = {
    "Audit": 2 + 1 + 1 + 3 + 2,
    "Calibration": 2 * 4,
    "Cross-task": 2 * 2,
    "Evaluation": 2 * 6 + 4,
    "Localisation": 2 * 5,
    "Paper": 1 + 2 * 3 + 1,
    "Privacy": 5,
    "Published and reproduced": 3,
    "Subgroups": 2 * 5,
    "Training": 2 * 2 + 2 * 2 * (3 + 1),
}


def test_the_report_holds_every_figure_and_table_with_its_caption(done, report):
    with opened(report) as page:
        results, categories = page.evaluate("[results, categories]")
    folder = done.folder / "results" / "demo"
    made = [path for pattern in REPORTED for path in folder.glob(pattern)]
    made = {str(path.relative_to(done.folder)) for path in made if path.name not in PLOTTED}
    assert made == results.keys()
    sizes = {name: sum(map(len, inner.values())) for name, inner in categories.items()}
    assert sizes == CATEGORIES
    for path, result in results.items():
        assert len(result["caption"]) > 200, path
        assert "system-message" not in result["caption"], path  # docutils' word for an error
        assert list(result["labels"])[:2] == ["shows", "protocol"], path
        assert result["job_properties"]["rule"]


def test_a_browser_shows_every_category_without_an_error_or_a_request(report):
    with opened(report) as page:
        results = page.evaluate("results")
        panel = page.locator(PANEL)
        for category, count in CATEGORIES.items():
            panel.get_by_text(category, exact=True).click()
            heads = panel.locator("thead th").all_inner_texts()
            # Where half of the results are of each protocol, a switch takes the column's place.
            rows = count if "PROTOCOL" in heads else count // 2
            assert panel.locator("tbody tr").count() == rows, category
            for row in panel.locator("tbody tr").all():
                row.locator("a").first.click()
                result = results[page.evaluate("app.state.resultPath")]
                if result["mime_type"] == "text/html":
                    frame = page.frame_locator("iframe")
                    frame.get_by_text(result["name"], exact=True).wait_for()
                    assert frame.locator("tbody tr").count() > 0
            page.reload()
            panel.wait_for()
        panel.get_by_text("Statistics", exact=True).click()
        page.locator(".vega-embed canvas").first.wait_for()


def test_every_image_of_the_report_has_a_size(report):
    measure = """async () => {
        const sizes = {};
        for (const [path, result] of Object.entries(results))
            if (result.mime_type == "image/png") {
                const image = new Image();
                image.src = result.data_uri;
                await image.decode();
                sizes[path] = [image.naturalWidth, image.naturalHeight];
            }
        return sizes;
    }"""
    with opened(report) as page:
        sizes = page.evaluate(measure)
    assert len(sizes) == 6 + 2 * 13
    assert min(min(size) for size in sizes.values()) > 500


def test_the_report_fits_a_phone(report):
    with opened(report, PHONE) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        page.get_by_text("Paper", exact=True).first.click()
        page.locator(f"{PANEL} tbody tr a").first.click()
        box = page.locator("#app img:not(nav img)").bounding_box()
        assert box["width"] > 0.9 * PHONE[0] - 24
        assert box["y"] + box["height"] <= PHONE[1]


def test_the_report_shows_rules_with_parameters_and_code(report):
    with opened(report) as page:
        results, rules = page.evaluate("[results, rules]")
        page.get_by_text("Calibration", exact=True).first.click()
        page.locator(f"{PANEL} tbody tr a").nth(1).click()
        assert "minimum_cases" in page.locator(PANEL).inner_text()
    assert rules.keys() >= {result["job_properties"]["rule"] for result in results.values()}
    assert "python -m chexviz.evaluation.calibrate" in text_of(rules["calibrate"]["code"])
    assert "def scalings(" in text_of(rules["calibrate"]["code"])


def text_of(markup: str) -> str:
    return html.unescape(re.sub("<[^>]+>", "", markup))


def test_every_result_carries_what_made_it(done):
    """After a run in two parts: hashes of all files, and what an edit and a setting change."""
    (path,) = done.results("provenance.json")
    record = json.loads(path.read_text())
    artifacts = record["artifacts"]
    versions = record["tables"][record["jobs"]["figure1"]["environment"]]
    assert versions["matplotlib"] == matplotlib.__version__
    files = [file for file in done.results("**/*") if file.is_file() and file.name != path.name]
    names = ("manifest.csv", "fetched.csv")
    resources = {f"resources/demo/{site}/{name}" for site in SITES for name in names}
    assert artifacts.keys() == {str(file.relative_to(done.folder)) for file in files} | resources
    kinds = {"artifact", "config", "code", "data", "environment"}
    assert all(len(made[kind]) == 64 for made in artifacts.values() for kind in kinds)
    verified = done.verify()
    assert (
        verified.stdout == f"All {len(artifacts)} artifacts match results/demo/provenance.json.\n"
    ), verified.stderr

    (table,) = done.results("tables/patient/table1.md")
    whole = table.read_bytes()
    table.write_bytes(whole + b"edited")
    overlay = copy.deepcopy(THREE)
    overlay["evaluation"]["margin"] = 0.06
    done.configure(overlay)
    verified = done.verify()
    done.configure(THREE)
    table.write_bytes(whole)
    assert verified.returncode == 1
    wrong = dict(line.split(": ") for line in verified.stderr.partition("\n\n")[0].splitlines())
    assert wrong.pop("results/demo/tables/patient/table1.md") == "artifact, config"
    assert set(wrong.values()) == {"config"}
    assert "evaluate protocol=patient: margin: 0.05, now 0.06" in verified.stderr
    assert "results/demo/figures/paper/figure2.pdf" in wrong
    assert "results/demo/figures/audit.pdf" not in wrong
