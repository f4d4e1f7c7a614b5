"""Every command of every configuration, as Snakemake would run it, suits the program it starts.

Nothing is run: Snakemake prints the commands of all jobs, and the parser of each entry point reads
them. So a default, a branch or a command that only the paper uses is tried without its data.
"""

import argparse
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import hostile
from chexviz.__main__ import COMMANDS
from chexviz.base import source_code
from chexviz.pipeline import provenance
from running import HOSPITAL, Workflow, successful

COMMAND = re.compile(r"python -m chexviz\.([\w.]+) +(.*?)2>&1 \| tee", re.DOTALL)
METHODS = ["fedavg", "fedprox", "fedbn", "pooled", "ensemble", "median", "dp8"]
PRIVACY = {"epsilon": 8, "delta": 1.0e-5, "clip": 1.0}
# Several of everything that a config lists, a site in shards, tables and weights from elsewhere.
WIDE = {
    "mark": hostile.TEXT,
    "run": {
        **{"sites": ["rsna", "siim", "hospital"], "protocols": ["patient", "paper"]},
        **{"methods": METHODS, "seeds": [1, 2], "privacy": True},
    },
    "sites": {
        "rsna": {"source": [f"local:{hostile.TEXT}", "local:."], "title": hostile.TEXT},
        "siim": {"source": ["local:."], "labels": "my labels.csv", "patients": "my patients.csv"},
        "hospital": HOSPITAL | {"shards": 3, "title": "St. Mary's"},
    },
    "architectures": {"densenet121": {"weights": "my weights.pth", "weights_sha256": "0" * 64}},
    "privacy": {"architectures": ["densenet121", "standard"]},
    "methods": {"dp8": {"algorithm": "fedavg", "batchnorm": "frozen", "privacy": PRIVACY}},
}
LEAST = {"run": {"sites": ["siim"], "protocols": ["patient"], "architectures": ["standard"]}}
CONFIG = Path(__file__).parents[2] / "config"
REHEARSAL, FEDERATION = CONFIG / "rehearsal.yaml", CONFIG / "demo_federation.yaml"
CONFIGS = {
    "the paper": ("paper", {}),
    "the paper with lists of one": ("paper", LEAST),
    "the paper with several of all": ("paper", WIDE),
    "the demo": ("demo", {}),
    "the rehearsal": ("paper", yaml.safe_load(REHEARSAL.read_text())),
    "the demo over a network": ("demo", yaml.safe_load(FEDERATION.read_text())),
    "a warm-up over a network": ("demo", {"training": {"engine": "flower"}}),
}
DEMO = "DEMO: phantom radiographs, random initial weights"


class Parsed(Exception):
    """The parser of an entry point has taken its command line."""


@pytest.fixture
def parse(monkeypatch):
    """Hand a command line to the parser of an entry point, which then goes no further."""
    whole = argparse.ArgumentParser.parse_args

    def parse_args(self, *words, **named):
        raise Parsed(whole(self, *words, **named))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)

    def parse(entry: str, words: list[str]) -> argparse.Namespace:
        with pytest.raises(Parsed) as caught:
            importlib.import_module(f"chexviz.{entry}").main(words)
        return caught.value.args[0]

    return parse


@pytest.mark.parametrize("name", CONFIGS)
def test_every_command_suits_its_program(tmp_path, repository, parse, name, capsys):
    study, overlay = CONFIGS[name]
    workflow = Workflow(tmp_path, repository, overlay, study)
    for file in ("my labels.csv", "my patients.csv", "my weights.pth"):
        (tmp_path / file).touch()
    said = successful(workflow.plan("--printshellcmds", "--quiet", "host"))
    commands = [(entry, shlex.split(words)) for entry, words in COMMAND.findall(said)]
    assert len(commands) == int(re.search(r"total +(\d+)", said)[1]) - 1  # `all` has none
    marks, titles, sources = set(), set(), set()
    for entry, words in commands:
        try:
            arguments = vars(parse(entry, words))
        except SystemExit:
            pytest.fail(f"{entry} {shlex.join(words)}\n{capsys.readouterr().err}")
        marks |= {arguments[option] for option in ("mark",) if option in arguments}
        titles |= {site["title"] for site in arguments.get("titles", [])}
        settings = json.loads(arguments.get("settings", "{}"))
        sites = [*settings.get("sites", []), settings]
        titles |= {site["title"] for site in sites if "title" in site}
        sources |= {source for site in sites for source in site.get("source", [])}
    assert marks == {overlay.get("mark", DEMO if study == "demo" else "")}
    rsna = overlay.get("sites", {}).get("rsna", {})
    if "rsna" in overlay.get("run", {}).get("sites", ["rsna"]):
        assert rsna.get("title", "RSNA") in titles
        assert set(rsna.get("source", [])) <= sources


# What these configs are laid over; the others have tests of their own.
SHIPPED = {
    **{"demo_federation": "demo", "privacy": "demo", "poisoning": "paper"},
    **{"partial_labels": "paper", "partial_labels_bound": "partial_labels"},
}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_config_is_planned(tmp_path, repository, name):
    overlay = yaml.safe_load((repository / "config" / f"{name}.yaml").read_text())
    workflow = Workflow(tmp_path, repository, overlay, SHIPPED[name])
    assert "paper" in workflow.planned()


def test_no_shipped_config_is_forgotten(repository):
    tested = {*SHIPPED, "config", "demo", "rehearsal", "five_sites"}
    assert {path.stem for path in (repository / "config").glob("*.yaml")} == tested


def test_every_rule_states_the_code_that_its_command_runs(repository):
    """As the record of a run reads it from the command: module and files of the repository."""
    rules = []
    for path in sorted((repository / "workflow" / "rules").glob("*.smk")):
        rules += re.split(r"(?m)^rule ", path.read_text())[1:]
    assert len(rules) > 30
    for rule in rules:
        stated = re.findall(r"\bcode=code\(([^)]*)\)", rule)
        assert stated, rule.partition(":")[0]
        for names in stated:
            read = source_code.contents(*(word.strip(",") for word in shlex.split(names)))
            assert read == provenance.sources(rule), rule.partition(":")[0]


def test_programs_start_without_docstrings(repository):
    """PYTHONOPTIMIZE=2 takes them away, and with them what a parser says about its program."""
    # Those that no rule runs.
    entries = {f"tools.{path.stem}" for path in (source_code.PACKAGE / "tools").glob("[a-z]*.py")}
    entries |= {command.module for command in COMMANDS.values()}
    for path in (repository / "workflow" / "rules").glob("*.smk"):
        entries |= set(source_code.ENTRY.findall(path.read_text()))
    program = """
import importlib, sys
for entry in sys.argv[1:]:
    try:
        importlib.import_module(f"chexviz.{entry}").main(["--help"])
    except SystemExit as end:
        if end.code:
            raise
"""
    done = subprocess.run(
        [sys.executable, "-OO", "-c", program, *sorted(entries)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(repository / "workflow")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: ") == len(entries)
