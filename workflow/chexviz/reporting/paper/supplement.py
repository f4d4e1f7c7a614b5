"""What the paper's supplement shows and says, of the whole run and of each protocol."""

from pathlib import Path

from chexviz.base.tables.summaries import METHODS
from chexviz.reporting.paper import (
    calibration,
    heads,
    labels,
    maps,
    original,
    paired_tests,
    shortcuts,
    simulations,
    subgroups,
)
from chexviz.reporting.paper.inventory import study_tables
from chexviz.reporting.tables import methods
from chexviz.reporting.tables.typesetting import to_json
from chexviz.reporting.titles import Endpoint, grouped


def study_facts(
    results: Path,
    protocols: list[str],
    sites: list[dict],
    titles: dict[Endpoint, str],
    minimum: int,
    patient: str,
) -> dict:
    """What is said of the whole run.

    titles: of the endpoints that are trained for. minimum: cases that an interval needs. patient:
    what the text calls the protocol of that name.
    """
    made = study_tables(protocols)
    folder, evaluation = results / "tables", results / "evaluation"
    simulation = simulations.read_simulation(evaluation / "simulation.csv")
    return {
        "published": original.published_facts(folder / "published.csv", titles, simulation)
        if "published" in made
        else None,
        "grim": original.grim_facts(folder / "grim.csv"),
        "inflation": original.inflation_facts(folder / "inflation.csv", titles, patient)
        if "inflation" in made
        else None,
        "simulation": simulations.simulation_sentence(simulation),
        "coverage": simulations.coverage_sentence(evaluation / "coverage.csv", minimum),
        "labels": labels.label_facts(results / "audit" / "labels.csv", sites),
    }


def protocol_facts(
    results: Path,
    protocol: str,
    titles: dict[Endpoint, str],
    method: str,
    confidence: float,
    title: str,
    everywhere: dict[Endpoint, str],
) -> dict:
    """What is said of one protocol.

    titles: of the endpoints that are trained for. method: the one that the paper compares with the
    baselines. confidence: of intervals. title: of the protocol. everywhere: titles of the external
    sites' endpoints too.
    """
    tables, evaluation = (results / name / protocol for name in ("tables", "evaluation"))
    points, localisation = evaluation / "operating_points.csv", evaluation / "localisation.csv"
    tests = paired_tests.tests_facts(tables / "tests.csv", titles)
    judged, compared = evaluation / "chexlocalize.csv", (titles, method)
    sentences = {
        "calibration": calibration.calibration_sentence(evaluation / "calibration.csv", titles),
        "energy": maps.energy_sentence(localisation, titles),
        "focus": maps.focus_sentence(localisation, *compared, confidence),
        "chexlocalize": maps.chexlocalize_sentence(judged, everywhere),
        "lungs": maps.lungs_sentences(judged, everywhere, method, confidence),
        "subgroups": subgroups.subgroups_sentence(evaluation / "subgroups.csv", *compared),
        "shortcuts": shortcuts.shortcuts_sentence(evaluation, *compared),
        "heads": heads.heads_sentence(evaluation / "crosstask.csv", *compared),
    }
    models = grouped(METHODS.read(tables / "methods.csv"), titles)
    return {
        **{key: under(title, sentence) for key, sentence in sentences.items()},
        "methods": to_json(methods.layout(models)),
        "tests": tests | {"said": under(title, tests["said"])},
        "operating_points": calibration.operating_facts(points, *compared),
        "decision": calibration.decision_sentence(evaluation / "decision.csv", titles),
    }


def under(title: str, sentence: str) -> str:
    """A sentence that says under which protocol it is true; '' of none."""
    return f"Under the {title}, {sentence[:1].lower()}{sentence[1:]}" if sentence else ""
