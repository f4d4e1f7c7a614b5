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
    """What a word after `chexviz`, or two, start: `main` of a module.

    extra: the optional packages that it needs, as pyproject.toml names them; '' for none.
    in_checkout: it works on a checkout of the workflow, with the code that lies there.
    """

    module: str
    summary: str
    extra: str = ""
    in_checkout: bool = False


FEDERATION = "federation"
COMMANDS = {
    "compare": Command("tools.compare", "compare two models by their tables of predictions"),
    "predict": Command(
        "inference.predict", "score radiographs with a trained model, as a bundle has it", "predict"
    ),
    "view": Command(
        "inference.viewer.view", "look at radiographs beside what a model says of them", "view"
    ),
    "report": Command(
        "tools.report_page", "make one page of all results of a run", "workflow", True
    ),
    "verify": Command(
        "tools.verify", "compare results with what would make them now", "workflow", True
    ),
    "archive": Command(
        "tools.archive.archive", "pack the results of a run to be given away", "workflow", True
    ),
    "site key": Command("tools.site.key", "make the key that a site is known by", FEDERATION),
    "site app": Command("tools.site.app", "say which code a site would run", FEDERATION),
    "site prepare": Command(
        "tools.site.prepare",
        "make a site's images, split and audit ready",
        "data,federation,workflow",
        True,
    ),
    "site join": Command("tools.site.join", "take part, until stopped", FEDERATION),
    "site evaluate": Command(
        "tools.site.evaluate", "evaluate the federation's model on own images", FEDERATION
    ),
    "site secret": Command(
        "tools.site.secret", "make the secret of all sites, for `hashes`", FEDERATION
    ),
    "site hashes": Command(
        "tools.site.hashes", "tell keyed hashes, by which sites find what they share", FEDERATION
    ),
    "site exclude": Command(
        "tools.site.exclude", "leave out what other sites have as well", FEDERATION
    ),
    "server setup": Command(
        "tools.server.setup", "make a coordinator's certificates and secret", FEDERATION
    ),
    "server start": Command("tools.server.start", "let sites connect, until stopped", FEDERATION),
    "server register": Command("tools.server.register", "let a site in, by its key", FEDERATION),
    "server unregister": Command("tools.server.unregister", "let a site in no longer", FEDERATION),
    "server status": Command(
        "tools.server.status", "say who is connected, and how far the study is", FEDERATION
    ),
    "server run": Command(
        "tools.server.run", "train a study over the sites", "federation,workflow", True
    ),
    "server resume": Command("tools.server.resume", "go on with a study", FEDERATION),
    "server audit": Command(
        "tools.server.audit", "find what sites share, by their keyed hashes", FEDERATION
    ),
}
GROUPS = {
    "site": "take part in a federation, as a site",
    "server": "coordinate a federation of sites",
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
    """Takes the first word of a command line, or two of a group."""
    made = argparse.ArgumentParser(
        prog=PACKAGE.name,
        description="Tools of CheXViz, a federated chest X-ray study as a reproducible pipeline.",
        epilog=EPILOG,
    )
    made.add_argument("--version", action="store_true", help="say which version this is")
    words = {"": made.add_subparsers(title="commands", metavar="COMMAND", dest="command")}
    for name, command in COMMANDS.items():
        group, _, word = name.rpartition(" ")
        if group not in words:
            about = GROUPS[group]
            inner = words[""].add_parser(group, help=about, description=about, epilog=EPILOG)
            words[group] = inner.add_subparsers(title="commands", metavar="COMMAND")
        summary = command.summary + " (in a checkout)" * command.in_checkout
        words[group].add_parser(word, help=summary)
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
        line = [sys.executable, "-m", PACKAGE.name, *name.split(), *words]
        os.execve(sys.executable, line, environment)


def main(argv: list[str] | None = None) -> None:
    given = sys.argv[1:] if argv is None else argv
    depth = 2 if given[:1] and given[0] in GROUPS else 1
    first, words = given[:depth], given[depth:]
    arguments = parser().parse_args(first if len(first) == depth else [*first, "--help"])
    if arguments.version:
        print(f"{PACKAGE.name} {version()}")
        return
    name = " ".join(first)
    command = COMMANDS[name]
    if command.in_checkout:
        enter_checkout(name, words)
    sys.argv[0] = f"chexviz {name}"  # what the command calls itself
    try:
        importlib.import_module(f"{PACKAGE.name}.{command.module}").main(words)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == PACKAGE.name:
            raise
        needed = PACKAGE.name + f"[{command.extra}]" * bool(command.extra)
        sys.exit(
            f"ERROR chexviz {name} needs the package {error.name}, which is not installed\n"
            f"  fix:      pip install '{needed}'"
        )


def script() -> None:
    """What the installed command starts."""
    run(main)


if __name__ == "__main__":
    script()
