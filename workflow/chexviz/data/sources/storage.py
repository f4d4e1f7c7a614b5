"""An archive at an address of which a storage plugin of Snakemake takes care."""

from chexviz.base.errors import InputError
from chexviz.data.sources.archives import unpack
from chexviz.data.sources.source import Job, Source


def fetch(job: Job) -> None:
    """Unpack the archive that the plugin has fetched before this job."""
    if job.stored is None or not job.stored.is_file():
        raise InputError(
            job.source,
            expected="a .zip: what is fetched is gone after the job, so no folder can be linked",
            found="a folder",
            fix="pack it, or use `local:` for a folder that this machine sees",
        )
    unpack(job.stored, job.folder / "data")


STORAGE = Source(
    kind="storage",
    form="'storage:ADDRESS' (a .zip)",
    pattern="storage:[^{}<>]+",
    fetch=fetch,
    remote=True,
    address=lambda source: source.partition(":")[2],
)
