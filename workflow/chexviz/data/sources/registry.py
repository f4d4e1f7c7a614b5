"""All kinds of sources, and what those of a site lack.

The Snakefile imports this at every start: what only a fetch needs is imported by the fetch.
"""

from collections.abc import Sequence

from chexviz.base.errors import InputError
from chexviz.data.sources import kaggle, local, phantom, storage
from chexviz.data.sources.source import Source

DEMO = "`make demo` runs the whole study without any data"
SOURCES: dict[str, Source] = {
    one.kind: one
    for one in (
        kaggle.COMPETITION,
        kaggle.DATASET,
        local.LOCAL,
        storage.STORAGE,
        phantom.PHANTOM,
    )
}


def missing(sources: Sequence[str]) -> str | None:
    """Why none of a site's sources can work, as far as can be told without a connection; or None.

    Cheap, so that a run can be refused before its first job: looks for local paths, and for Kaggle
    credentials (their presence, not their worth).
    """
    reasons = [lacking(source) for source in sources]
    return None if None in reasons else "\n".join([*filter(None, reasons), f"Or: {DEMO}."])


def lacking(source: str) -> str | None:
    """Why one source cannot work, with what to do; None if it may."""
    found = SOURCES.get(source.partition(":")[0])
    return found.lacking(source) if found else f"{source}: no such kind of source; use {forms()}."


def is_drawn(source: str) -> bool:
    """Whether a source is a phantom."""
    return source.partition(":")[0] == phantom.PHANTOM.kind


def of_kind(source: str) -> Source:
    """The kind of a source that a config names. Raises InputError if there is none."""
    found = SOURCES.get(source.partition(":")[0])
    if found is None:
        raise InputError(source, expected=forms(), found=source, fix="correct `source` of the site")
    return found


def forms() -> str:
    """How a config names sources of all kinds."""
    *others, last = (source.form for source in SOURCES.values())
    return f"{', '.join(others)} or {last}"
