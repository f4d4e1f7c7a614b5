"""The command lines of entry points for made results, without what each test adds."""

import json

from made_results import SIZE, Results, make_resources, trainings


def titles_argument(sites) -> str:
    """The option that names the sites, which tables and figures have."""
    keys = ("name", "title", "role", "findings")
    return f"--titles={json.dumps([{key: site[key] for key in keys} for site in sites])}"


def findings_arguments(results: Results) -> list[str]:
    """The part of a command line that tells the findings of every site."""
    return [
        word
        for site in results.sites
        for word in ("--findings", site["name"], site["role"], *site["findings"])
    ]


def participants_arguments(results: Results) -> list[str]:
    """The command line of `participants` for these results, without its outputs."""
    arguments = [titles_argument(results.sites)]
    for site in results.sites:
        name, folder = site["name"], make_resources(results, site["name"])
        tables = [results.site(name, f"{table}.csv") for table in ("samples", "rejected")]
        files = [*tables, folder / "manifest.csv", folder / "fetched.csv"]
        arguments += ["--site", name, *map(str, files)]
    for protocol in results.protocols:
        arguments += ["--split", protocol, str(results.split(protocol))]
    return arguments


def failures_arguments(results: Results, protocol: str) -> list[str]:
    """The command line of `failures` for these results, without its outputs."""
    arguments = ["--metrics", str(results.evaluation(protocol, "metrics"))]
    arguments += ["--method", results.methods[0], titles_argument(results.sites)]
    for site in results.sites:
        files = ("images.npy", "samples.csv", "annotations.csv")
        paths = [str(results.site(site["name"], name)) for name in files]
        arguments += ["--site", site["name"], *paths]
    for model in results.models:
        for seed in results.seeds:
            path = str(results.predictions(protocol, model, seed))
            arguments += ["--prediction", *model, str(seed), path]
    return arguments


def figure3_arguments(results: Results, protocol: str) -> list[str]:
    """The command line of Figure 3 for these results, without its outputs."""
    arguments = ["--metrics", str(results.evaluation(protocol, "metrics"))]
    arguments.append(titles_argument(results.sites))
    for site in results.sites:
        files = ("images.npy", "samples.csv", "annotations.csv")
        paths = [str(results.site(site["name"], name)) for name in files]
        arguments += ["--site", site["name"], *paths]
    return arguments + prediction_arguments(results, protocol, ("baseline", results.methods[0]))


def prediction_arguments(results: Results, protocol: str, methods) -> list[str]:
    """The part of a command line that names the scores and maps of the models of some methods."""
    keys = [(protocol, model, seed) for model in results.models for seed in results.seeds]
    return [
        word
        for protocol, model, seed in keys
        if model[1] in methods
        for word in (
            *("--prediction", *model, str(seed)),
            str(results.predictions(protocol, model, seed)),
            str(results.gradcam(protocol, model, seed)),
        )
    ]


def localise_arguments(results: Results, protocol: str, **changes) -> list[str]:
    """The command line of `localise` for these results, without its outputs."""
    split = ["--split", str(results.split(protocol))]
    return split + chexlocalize_arguments(results, protocol, **changes)


def chexlocalize_arguments(results: Results, protocol: str, **changes) -> list[str]:
    """The command line of `chexlocalize` for these results, without its output."""
    bootstrap = {"replicates": 200, "unit": "patient", "confidence": 0.95, "seed": 1}
    settings = {
        "bootstrap": bootstrap,
        "minimum_cases": 10,
        "threshold": 0.5,
        "size": SIZE,
    } | changes
    arguments = ["--metrics", str(results.evaluation(protocol, "metrics"))]
    arguments += ["--settings", json.dumps(settings)]
    for site in results.sites:
        name = site["name"]
        arguments += ["--site", name, str(results.site(name, "annotations.csv"))]
    return arguments + prediction_arguments(results, protocol, ("baseline", *results.methods))


def contact_sheet_arguments(results: Results, protocol: str) -> list[str]:
    """The command line of the contact sheet for these results, without its outputs."""
    arguments = ["--scored", str(results.evaluation(protocol, "localisation_images"))]
    arguments.append(titles_argument(results.sites))
    for site in results.sites:
        name = site["name"]
        files = ("images.npy", "samples.csv", "annotations.csv")
        arguments += ["--site", name, *(str(results.site(name, f)) for f in files)]
    for model in results.models:
        if model[1] in ("baseline", results.methods[0]):
            path = results.gradcam(protocol, model, results.seeds[0])
            arguments += ["--gradcam", *model, str(results.seeds[0]), str(path)]
    return arguments


def figure_audit_arguments(results: Results) -> list[str]:
    """The command line of the audit figure for these results, without its outputs."""
    audits = [str(results.root / "audit" / f"{protocol}.csv") for protocol in results.protocols]
    labels = str(results.root / "audit" / "labels.csv")
    return ["--audit", *audits, "--labels", labels, titles_argument(results.sites)]


def history_arguments(results: Results, protocol: str) -> list[str]:
    """The part of a command line that names every history."""
    return [
        word
        for model, seed, name in trainings(results)
        for word in (
            "--history",
            *model,
            str(seed),
            str(results.history(protocol, model, seed, name)),
        )
    ]


def figure_training_arguments(results: Results, protocol: str) -> list[str]:
    """The command line of the training figures for these results, without its outputs."""
    return [*history_arguments(results, protocol), titles_argument(results.sites)]


def table_arguments(results: Results, protocol: str) -> list[str]:
    """The evaluation's part of the command line of a table."""
    names = ("metrics", "comparisons")
    files = [f"--{name}={results.evaluation(protocol, name)}" for name in names]
    return [*files, titles_argument(results.sites)]


def inflation_arguments(results: Results) -> list[str]:
    """The command line of the comparison of both protocols, without titles and outputs."""
    files = {}
    for name in ("paper", "patient"):
        files |= {name: results.evaluation(name, "metrics"), f"{name}-split": results.split(name)}
    return [f"--{option}={path}" for option, path in files.items()]
