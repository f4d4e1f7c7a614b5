"""A figure that is added as docs/extending.md says is planned, and the paper has it."""

import shutil
import subprocess
import sys

from documented import codes

COPIED = ("workflow", "config", "paper", "envs", "profiles", "Snakefile", "CITATION.cff")


def test_two_files_add_a_figure_to_the_run(tmp_path, repository):
    for name in COPIED:
        source = repository / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    module, rule = codes("A figure")
    figures = tmp_path / "workflow" / "chexviz" / "reporting" / "figures"
    (figures / "prevalence.py").write_text(module)
    rules = tmp_path / "workflow" / "rules" / "figures_study.smk"
    rules.write_text(f"{rules.read_text()}\n\n{rule}")
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--workflow-profile", "none"]
    command += ["--cores", "1", "--configfile", "config/demo.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("rule figure_prevalence:") == 2  # of both protocols
    paper = done.stdout.partition("rule paper:")[2].partition("output:")[0]
    assert "figures/patient/prevalence.pdf" in paper
