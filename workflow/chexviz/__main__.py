"""The command `chexviz`: one program for the tools that people start themselves.

A command's module is imported when that command is called, so that help and errors come at once.
"""

import argparse
import importlib
import os
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from chexviz.base.errors import run
from chexviz.base.source_code import HOME, PACKAGE


class Command(NamedTuple):
    """What a word after `chexviz` starts: `main` of a module.

    extra: the optional packages that it needs, as pyproject.toml names them; '' for none.
    in_checkout: it works on a checkout of the workflow, with the code that lies there.
    """

    module: str
    summary: str
    extra: str = ""
    in_checkout: bool = False


COMMANDS = {
    "compare": Command("tools.compare", "compare two models by their tables of predictions"),
    "report": Command(
        "tools.report_page", "make one page of all results of a run", "workflow", True
    ),
    "verify": Command(
        "tools.verify", "compare results with what would make them now", "workflow", True
    ),
}
EPILOG = """`chexviz COMMAND --help` says what a command takes. A checkout is a folder that holds
the Snakefile of the workflow; such a command is called in it, and runs the code that lies there."""


def version() -> str:
    """The version of this code: in a checkout that of its pyproject.toml, else as installed."""
    project = HOME / "pyproject.toml"
    if project.is_file():
        return tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
    return metadata.version(PACKAGE.name)


def parser() -> argparse.ArgumentParser:
    """Takes the first word of a command line."""
    made = argparse.ArgumentParser(
        prog=PACKAGE.name,
        description="Tools of CheXViz, a federated chest X-ray study as a reproducible pipeline.",
        epilog=EPILOG,
    )
    made.add_argument("--version", action="store_true", help="say which version this is")
    words = made.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for name, command in COMMANDS.items():
        words.add_parser(name, help=command.summary + " (in a checkout)" * command.in_checkout)
    return made


def enter_checkout(name: str, words: list[str]) -> None:
    """Go on with the code of the checkout around the working directory, or else of this one.

    Ends with status 1 where there is neither.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, HOME):
        package = folder / "workflow" / PACKAGE.name
        if package.is_dir() and (folder / "Snakefile").is_file():
            break
    else:
        sys.exit(
            f"ERROR chexviz {name} works in a checkout of the workflow, and {here} is in none\n"
            "  fix:      clone the repository, and change into its folder"
        )
    if package.resolve() != PACKAGE:
        environment = os.environ | {"PYTHONPATH": str(package.parent)}
        os.execve(sys.executable, [sys.executable, "-m", PACKAGE.name, name, *words], environment)


def main(argv: list[str] | None = None) -> None:
    first, *words = (sys.argv[1:] if argv is None else argv) or ["--help"]
    arguments = parser().parse_args([first])
    if arguments.version:
        print(f"{PACKAGE.name} {version()}")
        return
    command = COMMANDS[first]
    if command.in_checkout:
        enter_checkout(first, words)
    try:
        module = importlib.import_module(f"{PACKAGE.name}.{command.module}")
    except ModuleNotFoundError as error:
        needed = PACKAGE.name + f"[{command.extra}]" * bool(command.extra)
        sys.exit(
            f"ERROR chexviz {first} needs the package {error.name}, which is not installed\n"
            f"  fix:      pip install '{needed}'"
        )
    sys.argv[0] = f"chexviz {first}"  # what the command calls itself
    module.main(words)


def script() -> None:
    """What the installed command starts."""
    run(main)


if __name__ == "__main__":
    script()
