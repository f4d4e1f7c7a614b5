"""Where Kaggle credentials are, told without a connection and without a secret."""

import json
import os
from pathlib import Path

from chexviz.data.sources.kaggle_refusals import OAUTH


def credentials() -> list[str]:
    """Where Kaggle credentials are, in the order in which its client looks; no secret is given.

    Their presence, not their worth. Imports nothing heavy.
    """
    environment, home = os.environ, Path("~/.kaggle").expanduser()
    config: str | Path | None = environment.get("KAGGLE_CONFIG_DIR")
    if not config and not home.exists():
        config = Path(environment.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "kaggle"
    key = Path(config or home) / "kaggle.json"
    legacy = read_json(key)
    notebook = environment.get("KAGGLE_API_V1_TOKEN", "")  # the file of a Kaggle notebook
    found = {
        "KAGGLE_API_V1_TOKEN": "KAGGLE_KERNEL_RUN_TYPE" in environment and has_text(Path(notebook)),
        "KAGGLE_API_TOKEN": is_token(environment.get("KAGGLE_API_TOKEN", "")),
        **{
            f"~/.kaggle/{name}": has_text(home / name)
            for name in ("access_token", "access_token.txt")
        },
        f"KAGGLE_USERNAME and KAGGLE_KEY, or {key}": (
            (environment.get("KAGGLE_USERNAME") or legacy.get("username"))
            and (environment.get("KAGGLE_KEY") or legacy.get("key"))
        ),
        OAUTH: read_json(home / "credentials.json").get("refresh_token"),
    }
    return [place for place, there in found.items() if there]


def is_token(text: str) -> bool:
    """Whether KAGGLE_API_TOKEN holds a token, or the path of a file with one."""
    # Unlike Path.exists it says no to a text that is too long to be a path, and does not raise.
    there = os.path.exists(text)  # noqa: PTH110
    return has_text(Path(text)) if there else bool(text)


def has_text(path: Path) -> bool:
    """Whether a file is there and, as far as can be told, not blank."""
    try:
        return path.is_file() and bool(path.read_text(errors="replace").strip())
    except PermissionError:
        return True  # what it is worth the login will say


def read_json(path: Path) -> dict:
    """A JSON object from a file; empty if there is none."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
