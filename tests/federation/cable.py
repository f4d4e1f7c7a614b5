"""A network of its own for a process, with one cable to this machine that can be cut."""

import os
import shutil
import subprocess
from typing import Self

PACKAGE = "iproute2"


class Cable:
    """While the context is entered, `before` in front of a command runs it at the other end.

    host: the address of this machine there.
    """

    def __init__(self) -> None:
        number = os.getpid() % 2**14  # no other test has it
        self.name, self.end = f"chexviz{number}", f"cable{number}"
        high, low = divmod(4 * number, 256)
        self.host, self.there = (f"10.{64 + high // 256}.{high % 256}.{low + n}" for n in (1, 2))
        self.before = ["ip", "netns", "exec", self.name]

    def __enter__(self) -> Self:
        try:
            ip("netns", "add", self.name)
            ip("link", "add", self.end, "type", "veth", "peer", "name", "eth0", "netns", self.name)
            ip("address", "add", f"{self.host}/30", "dev", self.end)
            ip("-n", self.name, "address", "add", f"{self.there}/30", "dev", "eth0")
            ip("-n", self.name, "link", "set", "eth0", "up")
            self.heal()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # The cable goes with the network, once no process is in it.
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True)
        subprocess.run(["ip", "link", "delete", self.end], capture_output=True)

    def cut(self) -> None:
        ip("link", "set", self.end, "down")

    def heal(self) -> None:
        ip("link", "set", self.end, "up")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def lacking() -> str:
    """Why there can be no such network here; nothing if there can."""
    if not shutil.which("ip"):
        return f"no network namespaces without the command ip: apt-get install {PACKAGE}"
    try:
        with Cable():
            return ""
    except subprocess.CalledProcessError as error:
        return f"no network namespaces, which need root: {error.stderr.strip()}"
