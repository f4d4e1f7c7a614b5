"""Radiographs that are drawn here."""

from chexviz.data.sources.source import Job, Source


def fetch(job: Job) -> None:
    """Draw radiographs in the layout of the site's reader."""
    from chexviz.data.phantom.site import generate

    generate(job.reader, job.folder / "data", workers=job.threads, **(job.phantom or {}))


PHANTOM = Source(kind="phantom", form="'phantom'", pattern="phantom", fetch=fetch)
