"""Which patients and exams a site has, and which findings they show.

All sites draw from one population, which depends on the seed alone. Sites generated apart, even
on different machines, therefore share patients and a few radiographs, as RSNA and SIIM-ACR do.
Within a site and across sites of one seed, images with an equal `radiograph_id` are near-identical
and no others are; images with an equal `patient_id` show the same person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from chexviz.base.errors import InputError
from chexviz.base.randomness import stream
from chexviz.data.phantom.anatomy import Exam
from chexviz.data.phantom.item import Identity, Item
from chexviz.data.phantom.layout import Layout
from chexviz.data.phantom.layouts import layout_of

SHARED_PATIENTS = 0.05  # of a site's patients: the first ones of the population
SHARED_RADIOGRAPHS = 0.01  # of a site's images: the first exam of the first patients
COPIES = 3  # radiographs that a site holds twice
PATIENTS, STUDIES = 200_000, 1_000  # by which those of a further site of a layout are apart
SMALLEST, LARGEST = 20, 50_000  # labelled images of a site, and all of them
# Counted in the published tables: positive images with 1, 2, ... boxes or masks.
OUTLINES = {
    "pneumonia": (2614, 3266, 119, 13),
    "pneumothorax": (2045, 447, 112, 40, 18, 3, 1, 2, 0, 1),
}
ABNORMAL = 11_821 / 20_672  # of RSNA's negative images: not normal


def plan(
    layout: str,
    images: int,
    seed: int,
    positives: Mapping[str, int] | None = None,
    unlabelled: int | None = None,
    number: int = 1,
) -> list[Item]:
    """All files of a site: `images` with labels, ordered by image, then `unlabelled` others.

    layout: of LAYOUTS. positives: labelled images with a finding of `labels` of the layout, by its
    name; of one that is not named as many as the prevalence says. unlabelled: None: as many as the
    layout says. number: of the site, if there are several of a layout. Raises InputError for an
    unknown layout or finding, or too few or too many images.
    """
    chosen, name = (
        numbered(layout_of(layout), number),
        layout if number == 1 else f"{layout}:{number}",
    )
    positives = positives or {}
    check_findings(layout, chosen, positives)
    unlabelled = chosen.unlabelled if unlabelled is None else unlabelled
    check_size(layout, images, unlabelled)
    draws = np.random.default_rng(stream(seed, "site", name))
    patients, studies = visits(chosen, images + unlabelled, draws)
    exams = take_exams(chosen, patients[:images], studies[:images], seed, positives)
    originals = alike(exams, draws)
    exams += take_exams(chosen, patients[images:], studies[images:], seed, {})
    # The first copy repeats its original's pixel data byte by byte; the others are encoded anew.
    editions = {
        number: stream(seed, name, "copy", copy) if copy else None
        for copy, number in enumerate(originals)
    }
    parts = [
        part
        for count, shares in zip((images, unlabelled), chosen.parts, strict=True)
        for part in np.repeat(["train", "test"], dealt(count, shares)).tolist()
    ]
    items = []
    for place, (exam, part) in enumerate(zip(exams, parts, strict=True)):
        edition = editions.get(place, stream(seed, name, place) if exam.study == 0 else None)
        exam = exams[originals.get(place, place)]
        identity = Identity(draws.bytes(16).hex(), exam, place in originals)
        image, file = chosen.image(identity), chosen.file(identity, part)
        items.append(Item(identity, image, file, place < images, edition))
    return sorted(items, key=lambda item: (not item.labelled, item.image))


def numbered(layout: Layout, number: int) -> Layout:
    """The layout of a further site, whose own patients and exams no other one has."""
    further = number - 1
    return replace(
        layout,
        own_patients=layout.own_patients + further * PATIENTS,
        own_studies=layout.own_studies + further * STUDIES,
    )


def check_findings(layout: str, chosen: Layout, positives: Mapping[str, int]) -> None:
    """Raise InputError for a finding whose number is not for the asking."""
    if unknown := sorted(set(positives) - set(chosen.labels)):
        raise InputError(
            f"phantom of layout {layout}: positives",
            expected=f"numbers of {', '.join(chosen.labels)}",
            found=", ".join(unknown),
            fix="correct `positives` of the site's contract in the config",
        )


def check_size(layout: str, images: int, unlabelled: int) -> None:
    """Raise InputError for too few or too many images."""
    if images < SMALLEST or images + unlabelled > LARGEST:
        raise InputError(
            f"phantom of layout {layout}",
            expected=f"{SMALLEST} labelled images at least, and {LARGEST} in all at most",
            found=f"{images}, and {unlabelled} others",
            fix="correct `phantom` in the config",
        )


def alike(exams: list[Exam], draws: np.random.Generator) -> dict[int, int]:
    """The exams that give way to a copy of another one, with the number of that one.

    Both show the same, so that a copy changes no count; and neither is one that all sites hold.
    """
    kinds = [replace(exam, patient=0, study=min(exam.study, 1)) for exam in exams]
    originals: dict[int, int] = {}
    for original in draws.permutation(len(exams)).tolist():
        used = {*originals, *originals.values(), original}
        same = [n for n, kind in enumerate(kinds) if kind == kinds[original] and n not in used]
        if exams[original].study and original not in originals and same:
            originals[int(draws.choice(same))] = original
        if len(originals) == COPIES:
            break
    return originals


def take_exams(
    layout: Layout,
    patients: np.ndarray,
    studies: np.ndarray,
    seed: int,
    positives: Mapping[str, int],
) -> list[Exam]:
    """An exam for each visit, with findings as frequent as the layout says; positives: see plan.

    An exam of study 0 is one that all sites hold, so its findings depend on the seed alone.
    """
    rates = layout.prevalence
    visited = zip(patients, studies, strict=True)
    scores = np.reshape([leanings(seed, *visit) for visit in visited], (-1, 5))
    # As many standard deviations above the mean as make every finding rare enough on either site.
    given = np.where(studies[:, None] == 0, scores > [0.2, 0.8, 0.8, 0.0, np.inf], np.nan)
    portable = pick(scores[:, 0], given[:, 0], round(rates.portable * len(scores)))
    pneumonia, pneumothorax = (
        parts(
            scores[:, column],
            given[:, column],
            {"AP": portable, "PA": ~portable},
            getattr(rates, finding),
            positives.get(finding),
            outlines,
        )
        for column, (finding, outlines) in enumerate(OUTLINES.items(), 1)
    )
    enlarged = positives.get("cardiomegaly", round(rates.cardiomegaly * len(scores)))
    cardiomegaly = pick(scores[:, 4], given[:, 4], enlarged)
    negative, well = pneumonia == 0, (pneumonia == 0) & (pneumothorax == 0)
    abnormal = np.zeros(len(scores), dtype=bool)
    # An image with a pneumothorax is not normal, whatever else is on it.
    number = round(ABNORMAL * negative.sum()) - (negative & ~well).sum()
    for some, wanted in ((well, number), (~well, round(ABNORMAL * (~well).sum()))):
        abnormal[some] = pick(scores[some, 3], given[some, 3], wanted)
    return [
        Exam(
            seed,
            int(patients[i]),
            int(studies[i]),
            "AP" if portable[i] else "PA",
            int(pneumonia[i]),
            int(pneumothorax[i]),
            bool(abnormal[i]),
            bool(cardiomegaly[i]),
        )
        for i in range(len(scores))
    ]


def parts(
    scores: np.ndarray,
    given: np.ndarray,
    views: dict[str, np.ndarray],
    rates: dict[str, float],
    wanted: int | None,
    outlines: Sequence[int],
) -> np.ndarray:
    """The parts (n,) that a finding has in every exam; 0: the exam does not show it.

    scores, given: see pick. views: which exams are of a view. rates: of the finding, by view.
    wanted: exams that show it; None: as many as the rates say. outlines: exams with 1, 2, ... parts
    are in these proportions.
    """
    expected = [rates[view] * of_view.sum() for view, of_view in views.items()]
    wanted = round(sum(expected)) if wanted is None else wanted
    found = np.zeros(len(scores), dtype=int)
    for of_view, number in zip(views.values(), dealt(wanted, expected), strict=True):
        found[of_view] = pick(scores[of_view], given[of_view], number)
    # The given ones have one part on every site. Who leans more to the finding has more of it.
    free = np.flatnonzero((found == 1) & (given != 1))
    numbers = np.repeat(np.arange(1, len(outlines) + 1), dealt(found.sum(), outlines))
    found[free[np.argsort(scores[free])]] = numbers[len(numbers) - len(free) :]
    return found


def dealt(count: int, shares: Sequence[float]) -> np.ndarray:
    """`count` things in whole numbers that are in proportion to `shares`, as nearly as can be."""
    edges = np.rint(count * np.cumsum(shares) / (sum(shares) or 1))
    return np.diff(edges, prepend=0).astype(int)


def visits(layout: Layout, count: int, draws: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Patient and study numbers of `count` exams, in random order.

    Four in ten patients have several exams.
    """
    several = draws.random(count) < 0.4
    exams = np.where(several, 1 + np.minimum(draws.geometric(0.4, count), 40), 1)
    exams = exams[: int(np.searchsorted(np.cumsum(exams), count)) + 1]
    shared = max(1, round(SHARED_PATIENTS * len(exams)))
    numbers = np.arange(len(exams))
    numbers = np.where(numbers < shared, 1 + numbers, layout.own_patients + numbers)
    patients = np.repeat(numbers, exams)[:count]
    first = np.r_[True, patients[1:] != patients[:-1]]
    nth = np.arange(count) - np.maximum.accumulate(np.where(first, np.arange(count), 0))
    common = first & (patients <= min(shared, max(1, round(SHARED_RADIOGRAPHS * count))))
    order = draws.permutation(count)
    return patients[order], np.where(common, 0, layout.own_studies + nth)[order]


def leanings(seed: int, patient: int, study: int) -> np.ndarray:
    """How much an exam leans to AP and to four findings: standard normal (5,).

    These are pneumonia, pneumothorax, abnormal, cardiomegaly.

    Half of the variance is the patient's: who was ill is likelier to be ill again.
    """
    chronic = np.random.default_rng(stream(seed, "leaning", int(patient)))
    acute = np.random.default_rng(stream(seed, "leaning", int(patient), int(study)))
    return np.sqrt(0.5) * (chronic.standard_normal(5) + acute.standard_normal(5))


def pick(scores: np.ndarray, given: np.ndarray, wanted: int) -> np.ndarray:
    """True for the `wanted` highest scores; `given` ones (not NaN) are fixed."""
    chosen = given == 1
    free = np.flatnonzero(np.isnan(given))
    missing = max(0, wanted - int(chosen.sum()))
    chosen[free[np.argsort(-scores[free], kind="stable")[:missing]]] = True
    return chosen
