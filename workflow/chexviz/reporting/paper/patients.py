"""What is known of who is on the images, and what may therefore be said of the protocols."""

from collections.abc import Sequence
from typing import NamedTuple

from chexviz.reporting.wording import NAMED, joined, listed, percent, tally

# Of the two datasets as they are published; config/patients/README.md.
SHARED = 1096
SHIPPED = {
    "config/patients/rsna.csv.gz": "the match of its images with those of ChestX-ray14 that "
    "torchxrayvision publishes, which comes with the workflow",
    "config/patients/siim.csv.gz": "the splits by patient that InconsistentBias publishes, whose "
    "groups of images come with the workflow",
}
CHALLENGES = ("rsna", "siim")  # readers of datasets that were drawn from ChestX-ray14
COLLECTION = "nih"  # the reader of all of it


class Site(NamedTuple):
    """What a site holds.

    findings: that its images are labelled for, as readers call them. positives: images with any of
    them. known: images whose patient is known; patients: who are on them. nameless: images of one
    patient are known as such, but not whose they are. table: that they were taken from, '' if none.
    reader: of the raw layout. phantom: the radiographs are drawn. external: it trains nothing.
    given: it keeps the split of its dataset. uncertain: what its labels of -1 count as, if it has
    any: ignore (unknown), positive or negative.
    """

    title: str
    findings: Sequence[str]
    images: int
    labelled: int
    positives: int
    known: int
    patients: int
    nameless: bool
    table: str
    rejected: int
    reader: str
    phantom: bool
    external: bool = False
    given: bool = False
    uncertain: str | None = None


def real(sites: Sequence[Site]) -> list[Site]:
    """The sites whose images are of ChestX-ray14: of the challenges, or all of it."""
    readers = (*CHALLENGES, COLLECTION)
    return [site for site in sites if site.reader in readers and not site.phantom]


# --- sites ---------------------------------------------------------------------------------------


def named(findings: Sequence[str]) -> str:
    """Findings within a text: 'pneumonia and pneumothorax'; many are counted: '14 findings'."""
    return listed(findings) if len(findings) <= NAMED else f"{len(findings)} findings"


def contributed(site: Site) -> str:
    """Images, labels and patients of a site; follows its title."""
    share = f", {percent(site.positives / site.labelled)}" if site.labelled else ""
    positive = "positive" if len(site.findings) == 1 else "positive for at least one"
    what = ("phantom radiograph", "phantom radiographs") if site.phantom else ("radiograph",)
    sentence = f"contributed {tally(site.images, *what)} labelled for {named(site.findings)} "
    sentence += f"({site.positives:,} {positive}{share})"
    if site.labelled < site.images:
        sentence += f", {site.images - site.labelled:,} of them without a label"
    rejected = (
        f"A further {tally(site.rejected, 'file')} could not be used; the workflow lists the "
        "reason."
        if site.rejected
        else ""
    )
    outside = "It trains nothing: all its labelled images evaluate." if site.external else ""
    return joined([sentence + who(site), outside, *choices(site), source(site), rejected])


def choices(site: Site) -> list[str]:
    """What was decided for a site: its split, and what its uncertain labels count as."""
    given = "It keeps the division into subsets that its dataset comes with."
    meant = "unknown" if site.uncertain == "ignore" else site.uncertain
    uncertain = f"Labels that are uncertain count as {meant}."
    kept = site.given and not site.external
    return [given] * kept + [uncertain] * bool(site.uncertain)


def who(site: Site) -> str:
    """Of how many patients its images are."""
    if not site.known:
        return (
            ". Its patients are unknown: the source does not say which images are of the same one, "
            "so that each counts as a patient of its own."
        )
    if site.known == site.images:
        return f", from {tally(site.patients, 'patient')}."
    return (
        f"; {tally(site.known, 'image is', 'images are')} of "
        f"{tally(site.patients, 'known patient')}, and each of the others counts as a patient of "
        "its own."
    )


def source(site: Site) -> str:
    """Where that is from; '' where the raw files say it or nobody does."""
    if not (site.known and site.table):
        return ""
    origin = SHIPPED.get(site.table, f"the table {site.table}")
    named = f"Who is on an image was taken from {origin}."
    if not site.nameless:
        return named
    return f"Which images are of one patient, but not of whom, was taken from {origin}."


def across(sites: Sequence[Site]) -> str:
    """Whom sites may share without anybody knowing; '' of one site."""
    if len(sites) < 2:
        return ""
    whole = [site.title for site in real(sites) if site.reader == COLLECTION]
    challenges = [site for site in real(sites) if site.reader in CHALLENGES]
    sentences = []
    if whole and challenges:
        sentences.append(
            f"The images of {listed(site.title for site in challenges)} were drawn from "
            f"ChestX-ray14, the dataset of {listed(whole)}, so that these sites share patients and "
            "images."
        )
    elif len({site.reader for site in challenges}) == 2:
        sentences.append(
            f"The datasets of {listed(site.title for site in challenges)} were both drawn from one "
            "collection, ChestX-ray14, so that these sites are not independent: as published, they "
            f"share at least {SHARED:,} patients, and some images."
        )
    nameless = [site.title for site in sites if site.nameless]
    unknown = [blank(site) for site in sites if site.known < site.images]
    hidden = [
        f"those of {listed(which)} are {what}"
        for which, what in ((nameless, "not named"), (unknown, "unknown"))
        if which
    ]
    if hidden:
        which = f"Of the patients, {listed(hidden)}:"
        found = "whom of them the sites share is not found, and may be on both sides of any split."
        sentences.append(f"{which} {found}")
    return joined(sentences)


def blank(site: Site) -> str:
    """The images of a site whose patients are unknown."""
    if not site.known:
        return f"all images of {site.title}"
    return f"{site.images - site.known:,} of the {site.images:,} images of {site.title}"


# --- protocols -----------------------------------------------------------------------------------


def title(protocol: str, sites: Sequence[Site]) -> str:
    """What the text calls a protocol: by patients only where one is known."""
    if protocol == "paper":
        return "image-wise protocol"
    return (
        "patient-wise protocol"
        if any(site.known for site in sites)
        else "duplicate-disjoint protocol"
    )


def complete(sites: Sequence[Site]) -> bool:
    """Whether it is known of every two images if they are of one patient."""
    named = len(sites) == 1 or not any(site.nameless for site in sites)
    return named and all(site.known == site.images for site in sites)


def disjoint(sites: Sequence[Site]) -> str:
    """What the protocol `patient` has on one side of the split alone."""
    if complete(sites):
        return "no patient and no near-duplicate image"
    if any(site.known for site in sites):
        return "no known patient and no near-duplicate image"
    return "no near-duplicate image"


def limits(sites: Sequence[Site]) -> str:
    """What that leaves open; '' where all patients are known."""
    if not any(site.known for site in sites):
        return "Patients are unknown, so that images of one patient can be on both sides."
    unknown = [blank(site) for site in sites if site.known < site.images]
    if not unknown:
        return ""
    return f"Patients are unknown for {listed(unknown)}; whoever is on them can be on both sides."


def evaluated(images: int, known: int, patients: int) -> str:
    """How many patients some evaluation images are of, as Table 1 has it.

    patients: with each image of an unknown one as a patient of its own.
    """
    if known == images:
        return tally(patients, "patient")
    return f"patients known for {known:,}" if known else "patients unknown"


def independence(sites: Sequence[Site], unit: str) -> str:
    """What the primary test takes for independent. unit: that it resamples."""
    if unit == "image":
        return "The primary test takes images for independent."
    without = [site.title for site in sites if not site.known]
    if len(without) == len(sites):
        return (
            "The primary test resamples patients; as none is known, each image counts as one, and "
            "images are taken for independent."
        )
    respects = "The primary test respects that images of one patient are not independent"
    if complete(sites) or all(site.known == site.images for site in sites):
        return f"{respects}."
    if without:
        return (
            f"{respects}, where the patient is known; those of {listed(without)} are not, and "
            "their images are taken for independent."
        )
    return f"{respects}, where the patient is known."


def counting(sites: Sequence[Site]) -> str:
    """What counts as a patient where patients are counted; '' where all are known."""
    if all(site.known == site.images for site in sites):
        return ""
    return "An image whose patient is unknown counts as a patient of its own."


# --- leakage -------------------------------------------------------------------------------------


class Shared(NamedTuple):
    """A row of the audit: evaluation images of a site that share something with training images.

    scope: within, across, any. shared: patient, duplicate, any. fraction: NaN if not countable.
    """

    site: str
    scope: str
    shared: str
    known: int
    affected: int
    fraction: float


def leakage(rows: Sequence[Shared], protocol: str) -> str:
    """What evaluation and training images share under a protocol. protocol: its title."""
    under = f"Under the {protocol},"
    within = [row for row in rows if row.scope == "within" and row.shared == "patient"]
    same = [row for row in within if row.affected]
    unknown = [row.site for row in within if not row.known]
    blind = (
        f" The patients of {listed(unknown)} are unknown, so that none of theirs can be found."
        if unknown
        else ""
    )
    if same:
        shares = listed(
            f"{percent(row.fraction)} of the evaluation images of {row.site} with a known patient"
            for row in same
        )
        return (
            f"{under} {shares} come from a patient who also has images in the training set of the "
            f"same site.{blind}"
        )
    if any(row.affected for row in rows):
        return f"{under} evaluation and training images share patients or near-duplicates.{blind}"
    if len(unknown) == len(within):
        return f"{under} no evaluation image is a near-duplicate of a training image.{blind}"
    return (
        f"{under} no evaluation image shares a known patient with a training image, and none is a "
        f"near-duplicate of one.{blind}"
    )


def optimism(rows: Sequence[Shared]) -> str:
    """Why the values of the protocol `paper` are optimistic; from its audit."""
    leaks = [row for row in rows if row.scope == "any" and row.shared == "any" and row.affected]
    sentence = "The image-wise protocol, kept for comparison, chooses the threshold on the images "
    sentence += "it evaluates, which makes sensitivity and specificity optimistic"
    if not leaks:
        return f"{sentence}."
    shares = listed(f"{percent(row.fraction)} of those of {row.site}" for row in leaks)
    return (
        f"{sentence}; and of the evaluation images, as far as is known, {shares} have their "
        "patient or a near-duplicate among the training images."
    )
