"""Radiographs that are drawn here."""

from chexviz.data.sources.source import Job, Source


def fetch(job: Job) -> None:
    """Draw radiographs in the layout of the site's reader.

    A number after the kind, 'phantom:2', is that of another site in the same layout.
    """
    from chexviz.data.phantom.site import generate

    number = int(job.name or 1)
    asked = job.phantom or {}
    generate(job.reader, job.folder / "data", workers=job.threads, number=number, **asked)


PHANTOM = Source(
    kind="phantom",
    form="'phantom' or 'phantom:NUMBER'",
    pattern="phantom(:[2-9]|:[1-9][0-9])?",
    fetch=fetch,
)
