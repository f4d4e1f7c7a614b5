"""Some of the workflow's files, made because a command asks for them."""

from collections.abc import Sequence
from pathlib import Path

from snakemake.cli import main as snakemake

from chexviz.base.source_code import HOME


def make(files: Sequence[str], configfiles: Sequence[Path], options: Sequence[str]) -> None:
    """Let Snakemake make files, with options. Ends with its message and status if it cannot."""
    line = ["--snakefile", HOME / "Snakefile", *options, "--configfile", *configfiles]
    try:
        snakemake([str(word) for word in [*line, "--", *files]])
    except SystemExit as end:
        if end.code:
            raise
