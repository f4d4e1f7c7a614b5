"""What a kind of source is: how the config names one, what it lacks, how its files come."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """What is to be fetched.

    source: as in the config, such as 'local:/data/chest'. folder: an empty one in the site's; what
    becomes `data` in it becomes the site's data. reader: of the site. phantom: how many radiographs
    are drawn, and from which seed; None of a site that draws none. stored: the archive that a
    storage plugin of Snakemake has fetched, or None. threads: how many it may use.
    """

    source: str
    folder: Path
    reader: str
    phantom: Mapping[str, Any] | None
    stored: Path | None
    threads: int

    @property
    def name(self) -> str:
        """What the config says after the kind: '/data/chest'."""
        return self.source.partition(":")[2]


@dataclass(frozen=True)
class Source:
    """A kind of source. Registered in `registry.py`.

    kind: its name in the config, before the colon. form: how messages show it. pattern: what the
    schema of the config takes, a regular expression. fetch: brings the files to `data` in the
    folder of a job, or raises InputError. lacking: why a source cannot work as far as can be told
    at once and without a connection, with what to do; None if it may. remote: whether it can change
    without telling a version, so that the day is noted. address: of one on the web, for readers.
    """

    kind: str
    form: str
    pattern: str
    fetch: Callable[[Job], None]
    lacking: Callable[[str], str | None] = lambda source: None
    remote: bool = False
    address: Callable[[str], str] = lambda source: ""
