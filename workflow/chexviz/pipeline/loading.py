"""The configuration of a run from its files: the same values and checks within Snakemake or not."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snakemake.common.configfile import load_configfile
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config, validate

from chexviz.base.errors import InputError
from chexviz.base.source_code import HOME
from chexviz.pipeline import configuration

DEFAULTS = HOME / "config" / "config.yaml"
SCHEMA = HOME / "workflow" / "schemas" / "config.schema.yaml"


def load(files: Sequence[Path], **run: Any) -> dict[str, Any]:
    """The configuration of config.yaml and files, each laid over what is before it.

    run: values that take the place of theirs under `run:`. Ends with status 1, and what is wrong.
    """
    overlay: dict[str, Any] = {}
    for file in files:
        update_config(overlay, read(file))
    update_config(overlay, {"run": run})
    try:
        return complete(overlay)
    except WorkflowError as error:
        sys.exit(f"ERROR {error}")


def read(file: Path) -> dict[str, Any]:
    """What one file says. Raises InputError if it cannot be read."""
    try:
        return dict(load_configfile(str(file)))
    except (WorkflowError, OSError) as error:
        raise InputError(
            file,
            expected="a configuration in YAML",
            found=str(error),
            fix="correct the path, or the file; config/README.md explains every key",
        ) from error


def complete(overlay: Mapping[str, Any]) -> dict[str, Any]:
    """config.yaml with what is laid over it, checked. Raises WorkflowError that says what is wrong.

    overlay: all settings that differ, or settings that are complete.
    """
    config = load_configfile(str(DEFAULTS))
    update_config(config, overlay)
    try:
        configuration.check_finite(config)
        configuration.check_renamed(config)
        config.update(configuration.whole_numbers(config))
        validate(config, str(SCHEMA))
        configuration.check(config)
    except InputError as error:
        raise WorkflowError(str(error)) from error
    except WorkflowError as error:
        # Snakemake's own message prints the whole schema; the cause says what is wrong, and where.
        wrong: Any = error.__context__
        about = wrong.schema
        meant = f" (expected: {about['description']})" if "description" in about else ""
        raise WorkflowError(
            f"config: {wrong.json_path}: {wrong.message}{meant}\n"
            "config/README.md explains every key; the schema is "
            "workflow/schemas/config.schema.yaml"
        ) from error
    return config
