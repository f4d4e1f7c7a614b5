"""The radiographs of each browser tab, in memory alone, and forgotten with it.

A tab has a session; others cannot name it. It ends when the tab says so, or after IDLE seconds
without a word of it.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

import numpy as np

from chexviz.inference.viewer.display import Picture

IDLE = 3600.0  # seconds
TABS = 16  # at once
FILES = 1000  # of a tab
MEMORY = 2**30  # bytes of all pictures


class Kept(NamedTuple):
    """A radiograph that was read: its picture, and the maps (h, w) of each model by finding."""

    picture: Picture
    maps: list[dict[str, np.ndarray]]

    @property
    def size(self) -> int:
        """Bytes, of what takes any."""
        maps = sum(heat.nbytes for one in self.maps for heat in one.values())
        return self.picture.pixels.nbytes + maps


class Full(Exception):
    """There is no room for more; its text says of what."""


class Gone(Exception):
    """There is no such session, or no more."""


@dataclass
class Session:
    """What is kept of a tab. asked: when it was last heard of."""

    asked: float
    kept: dict[str, Kept] = field(default_factory=dict)


class Sessions:
    """All sessions. clock: seconds, for tests. Its methods may be called by any thread."""

    def __init__(self, memory: int = MEMORY, clock: Callable[[], float] = time.monotonic):
        self.memory, self.clock, self.lock = memory, clock, Lock()
        self.all: dict[str, Session] = {}

    def begin(self) -> str:
        """The name of a new session. Raises Full."""
        with self.lock:
            self.drop_idle()
            if len(self.all) >= TABS:
                raise Full(f"{TABS} tabs are open, which is the most: close one")
            name = secrets.token_urlsafe(16)
            self.all[name] = Session(self.clock())
            return name

    def touch(self, session: str) -> None:
        """Hear of a session. Raises Gone if there is none."""
        with self.lock:
            self.heard(session)

    def keep(self, session: str, kept: Kept) -> str:
        """Keep a radiograph; its name within the session. Raises Full or Gone."""
        with self.lock:
            own = self.heard(session)
            if len(own.kept) >= FILES:
                raise Full(f"{FILES} radiographs are shown, which is the most: clear the list")
            held = sum(one.size for tab in self.all.values() for one in tab.kept.values())
            if held + kept.size > self.memory:
                raise Full(
                    f"the radiographs that are shown take all of {self.memory >> 20} MiB: clear "
                    "the list, or close other tabs"
                )
            name = str(len(own.kept))
            own.kept[name] = kept
            return name

    def get(self, session: str, name: str) -> Kept:
        """A radiograph of a session. Raises Gone."""
        with self.lock:
            found = self.heard(session).kept.get(name)
            if found is None:
                raise Gone
            return found

    def forget(self, session: str) -> None:
        """End a session; nothing if there is none."""
        with self.lock:
            self.all.pop(session, None)

    def forget_idle(self) -> None:
        """End the sessions of which nothing was heard for long."""
        with self.lock:
            self.drop_idle()

    def drop_idle(self) -> None:
        """The same, for those who hold the lock."""
        now = self.clock()
        self.all = {name: one for name, one in self.all.items() if now - one.asked < IDLE}

    def heard(self, session: str) -> Session:
        """A session that has just asked for something, for those who hold the lock."""
        self.drop_idle()
        found = self.all.get(session)
        if found is None:
            raise Gone
        found.asked = self.clock()
        return found
