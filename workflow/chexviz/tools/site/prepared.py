"""What a site has made ready, and where: the results of the workflow, and a folder of its state."""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

from chexviz.base.errors import InputError
from chexviz.base.files import sha256
from chexviz.base.settings import Settings, read

ABOUT = "site.json"
ARRAYS = ("images.npy", "shards.csv")  # of a prepared site, one of them
STATE = "federation"  # the folder of the state, unless another one is named
DIGITS = 16  # of a checksum, in a file's name


class About(Settings, frozen=True):
    """What `chexviz site prepare` says of the site that it has made ready.

    evaluation: how its results are measured: bootstrap, minimum_cases, sensitivities and margin of
    the configuration.
    """

    name: str
    evaluation: dict[str, Any]


class Home(NamedTuple):
    """A prepared site. results: of the workflow. state: what this site keeps of federations."""

    about: About
    results: Path
    state: Path

    @property
    def folder(self) -> Path:
        """Of the site's arrays and tables."""
        return self.results / "sites" / self.about.name

    @property
    def samples(self) -> Path:
        return self.folder / "samples.csv"

    def splits(self) -> dict[str, Path]:
        """The split of each protocol, as the workflow made it. Raises InputError without any."""
        found = sorted(self.results.glob(f"splits/*/{self.about.name}.csv"))
        if not found:
            raise InputError(
                self.results / "splits",
                expected=f"a split of site {self.about.name}: PROTOCOL/{self.about.name}.csv",
                found="none",
                fix="prepare the site: `chexviz site prepare`",
            )
        return {path.parent.name: path for path in found}

    def split(self, protocol: str | None) -> tuple[str, Path]:
        """One protocol, and its split as the workflow made it; None: of the only protocol.

        Raises InputError if it has none, or there are several to choose from.
        """
        found = self.splits()
        name = protocol or (next(iter(found)) if len(found) == 1 else "")
        if name not in found:
            raise InputError(
                f"--protocol {name}".strip(),
                expected=f"one of the protocols of {self.results}: {', '.join(found)}",
                found=name or "none, and there are several",
                fix="name the one that the federation trains",
            )
        return name, found[name]

    def without_shared(self, protocol: str, split: Path) -> Path:
        """Where that of a split lies which other sites do not have; of another split, elsewhere."""
        return self.state / "splits" / f"{protocol}.{sha256(split)[:DIGITS]}.csv"

    def used(self) -> dict[str, Path]:
        """What of each split is used: without what other sites have, where that was left out.

        Raises InputError if it was left out of another split than there is now.
        """
        found = {}
        for protocol, split in self.splits().items():
            without = self.without_shared(protocol, split)
            old = [*without.parent.glob(f"{protocol}.*.csv")]
            if old and without not in old:
                raise InputError(
                    old[0],
                    expected=f"images left out of the split that is there, {split}",
                    found="that they were left out of another one",
                    fix="let the sites find anew what they share (`chexviz site hashes`), or "
                    "remove this file, and use the split as it is",
                )
            found[protocol] = without if old else split
        return found

    def baseline(self, protocol: str, architecture: str, seed: int) -> Path:
        """Where the model of this site alone is, if the workflow has trained it."""
        folder = self.results / "models" / protocol / architecture / "baseline" / f"seed{seed}"
        return folder / f"{self.about.name}.safetensors"


def add_home(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a prepared site; home_of takes their values."""
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        help="folder of the prepared site, as `chexviz site prepare` named it (%(default)s)",
    )
    parser.add_argument(
        "--state",
        type=Path,
        help="folder for what this site keeps of federations: its task block, and how far it is "
        f"(RESULTS/{STATE})",
    )


def home_of(arguments: argparse.Namespace) -> Home:
    """The prepared site that the options name. Raises InputError if there is none."""
    path = arguments.results / ABOUT
    if not path.is_file():
        raise InputError(
            path,
            expected="a prepared site",
            found="no such file",
            fix="prepare the site (`chexviz site prepare`), and give the folder that it names as "
            "--results",
        )
    about = read(path.read_text(encoding="utf-8"), About, str(path))
    return Home(about, arguments.results, arguments.state or arguments.results / STATE)


def images_of(folder: Path) -> Path:
    """The arrays of a prepared site. Raises InputError if there are none."""
    for name in ARRAYS:
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        folder,
        expected=f"a prepared site: {' or '.join(ARRAYS)}",
        found="neither",
        fix="prepare the site, or correct the path",
    )
