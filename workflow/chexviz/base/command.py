"""The command line of an entry point: what every parser has."""

import argparse
import os
import sys
from collections.abc import Callable

from chexviz.base.source_code import PACKAGE


def argument_parser(main: Callable) -> argparse.ArgumentParser:
    """A parser that calls the program of `main` as it was started: by `chexviz` or by its module.

    It says what the docstring of that module says; nothing where Python leaves docstrings out.
    """
    module = sys.modules[main.__module__]
    by_command = sys.argv[0].startswith("chexviz ")
    # A module that is run has its name in its specification alone.
    name = getattr(module.__spec__, "name", main.__module__)
    program = sys.argv[0] if by_command else f"python -m {name}"
    return argparse.ArgumentParser(prog=program, description=module.__doc__)


def program(module: str) -> tuple[list[str], dict[str, str]]:
    """What starts a module of this library as a process, and its environment: the same code.

    module: its name, whole.
    """
    paths = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return [sys.executable, "-m", module], os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
