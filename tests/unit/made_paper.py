"""Every file that the paper reads, made by the stages themselves from small made results."""

import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import yaml
from pypdf import PdfWriter

from chexviz.evaluation import (
    calibrate,
    chexlocalize,
    coverage,
    crosstask,
    localise,
    representation,
    shortcuts,
    simulation,
    subgroups,
)
from chexviz.reporting.figures import failures, framework, style
from chexviz.reporting.paper import inventory
from chexviz.reporting.tables import (
    external,
    grim,
    inflation,
    methods,
    participants,
    published,
    table1,
    tests,
)
from made_arguments import (
    chexlocalize_arguments,
    failures_arguments,
    findings_arguments,
    history_arguments,
    inflation_arguments,
    localise_arguments,
    participants_arguments,
    table_arguments,
    titles_argument,
)
from made_results import Results, make_results

REPOSITORY = Path(__file__).parents[2]
ORIGINAL = {
    "--published": REPOSITORY / "paper" / "published_table1.csv",
    "--data": REPOSITORY / "paper" / "published_data.csv",
}
SETTINGS = {
    "bootstrap": {"replicates": 50, "unit": "patient", "confidence": 0.95, "seed": 1},
    "minimum_cases": 10,
}
COVERAGE = {
    **{"repetitions": 3, "replicates": 20, "patients": [100, 200], "prevalence": 0.1},
    **{"images": [1, 3], "similarity": 0.5, "auroc": 0.8, "correlation": 0.5, "seed": 1},
}
SIMULATION = {
    **{"repetitions": 3, "images": 100, "prevalence": 0.2},
    **{"auroc": 0.8, "correlation": 0.5, "seed": 1},
}


def make_paper(root: Path, **options) -> Results:
    """Results as `make_results` with everything that `reported.files` names beside them.

    Tables are made by their own stages. For figures, which other tests draw, Figure 1 stands in.
    """
    made = make_results(root, **options)
    shown = inventory.shown_figures(made.sites, 2, ["private methods"] * bool(private(made)))
    for figure in shown:
        names = inventory.figure_files(figure, made.protocols)
        make_figures(made, [made.root / name for name in names], figure["pages"])
    for protocol in made.protocols:
        make_evaluation(made, protocol)
        make_tables(made, protocol)
    make_study(made)
    return made


def private(made: Results) -> dict[str, dict]:
    """The private methods: dp and its epsilon, or dpsite where that is of whole sites."""
    return {
        method: {"unit": "site" if method.startswith("dpsite") else "patient", "delta": 1e-5}
        for method in made.methods
        if method.startswith("dp")
    }


def make_figures(made: Results, paths: list[Path], pages: int) -> None:
    first = made.root / "drawn" / "figure1.pdf"
    if not first.is_file():
        first.parent.mkdir(parents=True)
        titles = titles_argument(made.sites)
        framework.main([titles, f"--pdf={first}", f"--png={first.with_suffix('.png')}"])
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = PdfWriter()
        for _ in range(pages):
            writer.append(first)
        writer.write(path)


def make_evaluation(made: Results, protocol: str) -> None:
    predictions, samples = findings_arguments(made), []
    for site in made.sites:
        samples += ["--samples", site["name"], str(made.site(site["name"], "samples.csv"))]
    for model in made.models:
        for seed in made.seeds:
            path = made.predictions(protocol, model, seed)
            predictions += ["--prediction", *model, str(seed), str(path)]

    def settings(**more) -> list[str]:
        return ["--settings", json.dumps(SETTINGS | more)]

    def output(option: str, name: str) -> str:
        return f"--{option}={made.evaluation(protocol, name)}"

    tables = ("calibration", "reliability", "distribution", "operating_points", "decision")
    outputs = [output(name.replace("_", "-"), name) for name in tables]
    calibrate.main([*predictions, *settings(sensitivities=[0.9, 0.95]), *outputs])
    grouped = settings(subgroups={"ages": [40, 60]})
    for module, name in ((subgroups, "subgroups"), (shortcuts, "shortcuts")):
        module.main([*predictions, *samples, *grouped, output("output", name)])
    features = made_features(made, protocol)
    representation.main([*features, *samples, *grouped, output("output", "representation")])
    crosstask.main([*predictions, *settings(), output("output", "crosstask")])
    outputs = [output("images", "localisation_images"), output("summary", "localisation")]
    localise.main([*localise_arguments(made, protocol), *outputs])
    judged = output("output", "chexlocalize")
    chexlocalize.main([*chexlocalize_arguments(made, protocol), judged])
    outputs = [output("confusion", "confusion"), output("failures", "failures")]
    arguments = [*failures_arguments(made, protocol), *outputs]
    tabulate(failures.main, [*arguments, *pictures(made.root, "failures")])


def made_features(made: Results, protocol: str) -> list[str]:
    """Features of all models, which hold nothing; of each baseline also untrained ones."""
    words, draws = [], np.random.default_rng(0)
    for model in made.models:
        for seed in made.seeds:
            predictions = made.predictions(protocol, model, seed)
            found = {}
            for site, rows in pd.read_csv(predictions, dtype=str).groupby("site"):
                images = rows["image"].drop_duplicates().to_numpy(dtype=str)
                found[f"image_{site}"] = images
                kinds = ("features", "untrained") if model[1] == "baseline" else ("features",)
                for kind in kinds:
                    found[f"{kind}_{site}"] = draws.standard_normal((len(images), 4))
            file = predictions.with_suffix(".features.npz")
            np.savez(file, **found)
            words += ["--features", *model, str(seed), str(file)]
    return words


def tabulate(main: Callable[[list[str]], None], arguments: list[str]) -> None:
    """Run a stage for its tables; the figure beside them is not written."""
    with patch.object(style, "save_pages", lambda *_: style.plt.close("all")):
        main(arguments)


def pictures(root: Path, name: str) -> list[str]:
    """Where the figure would be that a stage draws beside its tables."""
    return [f"--{kind}={root / 'drawn' / f'{name}.{kind}'}" for kind in ("pdf", "png")]


def formats(folder: Path, name: str) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    return [f"--{kind}={folder / name}.{kind}" for kind in ("csv", "tex", "md")]


def make_tables(made: Results, protocol: str) -> None:
    folder = made.root / "tables" / protocol
    evaluated = table_arguments(made, protocol)
    method = ["--method", made.methods[0]]
    if "external" in inventory.protocol_tables(made.sites):
        external.main([*evaluated, *formats(folder, "external")])
    table1.main([*evaluated, *method, *formats(folder, "table1")])
    told = [*history_arguments(made, protocol), f"--private={json.dumps(private(made))}"]
    methods.main([*evaluated, *told, *formats(folder, "methods")])
    tests.main([*evaluated[1:], *method, *formats(folder, "tests")])


def make_study(made: Results) -> None:
    folder = made.root / "tables"
    original = [f"{option}={path}" for option, path in ORIGINAL.items()]
    made_tables = inventory.study_tables(made.protocols)
    grim.main([*original, *formats(folder, "grim")])
    if "published" in made_tables:
        sites = [
            {key: site[key] for key in ("name", "title", "role", "findings")}
            | {"reader": site["name"], "source": ["local:raw"]}
            for site in made.sites
        ]
        config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
        settings = json.dumps({"sites": sites, "architectures": config["architectures"]})
        arguments = [*original, *table_arguments(made, "paper")[:2], "--settings", settings]
        published.main([*arguments, *formats(folder, "published")])
    if "inflation" in made_tables:
        inputs = [*inflation_arguments(made), titles_argument(made.sites)]
        inflation.main([*inputs, *formats(folder, "inflation")])
    listed = [f"--{name}={made.root / 'audit' / f'{name}.csv'}" for name in ("flow", "sources")]
    outputs = [*listed, *formats(folder, "participants"), *pictures(made.root, "flow")]
    tabulate(participants.main, [*participants_arguments(made), *outputs])
    path = made.root / "evaluation" / "simulation.csv"
    simulation.main(["--settings", json.dumps(SIMULATION), f"--csv={path}"])
    path = made.root / "evaluation" / "coverage.csv"
    coverage.main(["--settings", json.dumps(COVERAGE), f"--csv={path}"])
