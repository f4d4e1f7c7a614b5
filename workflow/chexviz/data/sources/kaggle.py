"""Competitions and datasets of Kaggle."""

import sys
from urllib.parse import quote

from chexviz.base.errors import InputError
from chexviz.base.files import remove
from chexviz.data.sources import kaggle_client, kaggle_refusals
from chexviz.data.sources.archives import DamagedArchive, NoSpace, unpack
from chexviz.data.sources.kaggle_credentials import credentials
from chexviz.data.sources.kaggle_pages import page
from chexviz.data.sources.source import Job, Source


def lacking(source: str) -> str | None:
    """Why a competition cannot work: only who has accepted its rules gets it."""
    if credentials():
        return None
    found = f"{source}: no Kaggle credentials found"
    rules = kaggle_refusals.page(source)
    return f"{found}; {kaggle_refusals.TOKEN}, and accept the rules at {rules}."


def fetch(job: Job) -> None:
    """Download the archive and unpack it.

    An archive that turns out to be damaged is downloaded once more: the client compares sizes only.
    One that cannot be used is not kept, or no later run would look for a better one.
    """
    archives = job.folder.parent / ".archives" / quote(job.source, safe="")
    for last in (False, True):
        fetched = kaggle_client.transfer(job.source, archives)
        try:
            for archive in fetched:
                unpack(archive, job.folder / "data")
            return
        except NoSpace:
            raise
        except InputError as error:
            remove(archives)
            remove(job.folder / "data")
            if not isinstance(error, DamagedArchive):
                raise
            if last:
                raise InputError(
                    job.source,
                    expected="a whole zip archive",
                    found=f"a damaged one, twice ({error.found})",
                    fix="a proxy may answer in Kaggle's place: try another network or mirror",
                ) from None
            print(f"{job.source}: damaged ({error.found}); once more", file=sys.stderr, flush=True)


COMPETITION = Source(
    kind="kaggle-competition",
    form="'kaggle-competition:SLUG'",
    pattern="kaggle-competition:[^/]+",
    fetch=fetch,
    lacking=lacking,
    remote=True,
    address=page,
)
DATASET = Source(  # for which nobody needs an account
    kind="kaggle-dataset",
    form="'kaggle-dataset:OWNER/NAME'",
    pattern="kaggle-dataset:[^/]+/[^/]+",
    fetch=fetch,
    remote=True,
    address=page,
)
