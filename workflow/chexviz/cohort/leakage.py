"""What leaks from training into evaluation: counted for every protocol, ruled out for `patient`."""

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing_all
from chexviz.base.records import positions
from chexviz.base.tables.sites import LABEL, SAMPLES
from chexviz.base.tables.study import DUPLICATES, LEAKAGE, PAIR, SPLIT, SUBSETS
from chexviz.base.user_tables import NAMELESS


def read_samples(sites: list[str], paths: list[Path], *names: str) -> list[pd.DataFrame]:
    """The columns `names` of each site's samples.csv, or all; patient as `person` tells them apart.

    Added are site, and position: the row of the site's packed images.
    """
    tables = []
    for site, path in zip(sites, paths, strict=True):
        table = SAMPLES.read(path, *names)
        table = table.assign(site=site, position=range(len(table)))
        tables.append(table.assign(patient=person(table)))
    return tables


def as_written(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose labels are whole numbers: 1, 0, or nothing where they are unknown."""
    return table.astype({name: "Int64" for name in table if str(name).startswith(LABEL)})


def person(images: pd.DataFrame) -> pd.Series:
    """The patient of each image, whom other images may share; unknown ones are told apart.

    images: columns site, image, patient, patient_known (bool).
    """
    # Of an unknown patient the id is the image's, which another site may use as well; so it is
    # with the number of a nameless one.
    alone = images["site"] + "/" + images["image"]
    nameless = images["patient"].str.startswith(NAMELESS)
    names = NAMELESS + images["site"] + "/" + images["patient"].str.removeprefix(NAMELESS)
    grouped = images["patient"].mask(nameless, names)
    return grouped.where(images["patient_known"], alone)


def known(images: pd.DataFrame, *, elsewhere: bool) -> np.ndarray:
    """Of which images (bool, n) other images of their patient can be found.

    images: columns patient, patient_known. elsewhere: at other sites, where a nameless patient
    would not be recognised.
    """
    found = images["patient_known"]
    if elsewhere:
        found = found & ~images["patient"].str.startswith(NAMELESS)
    return found.to_numpy(dtype=bool)


def sharing(
    images: pd.DataFrame, pairs: pd.DataFrame, here: np.ndarray, there: np.ndarray
) -> dict[str, np.ndarray]:
    """Which images of `here` (bool, n) share something with an image of `there` (bool, n).

    images: columns site, image, patient, sha256. Gives bool (n,) by 'patient', 'duplicate' (near-
    identical, whatever the patient), 'exact' (the same file by its checksum) and 'any' of them. It
    looks at patients, pairs and files themselves, not at the groups that the split was made by,
    so that it can judge them.
    """
    one, two = positions(images, pairs)
    duplicate = np.zeros(len(images), dtype=bool)
    duplicate[one[there[two]]] = True
    duplicate[two[there[one]]] = True
    found = {
        "patient": images["patient"].isin(images.loc[there, "patient"]).to_numpy(),
        "duplicate": duplicate,
        "exact": images["sha256"].isin(images.loc[there, "sha256"]).to_numpy(),
    }
    found["any"] = np.logical_or.reduce(list(found.values()))
    return {kind: affected & here for kind, affected in found.items()}


def audit(images: pd.DataFrame, pairs: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Evaluation images of each site that share something with images not evaluated: LEAKAGE.

    images: columns site, image, patient, patient_known, sha256, subset. A shared patient is a
    fraction of the images whose patient is known, everything else of all; NaN if there is none,
    or if no patient is known among the images to compare with.
    """
    evaluated = (images["subset"] == "evaluation").to_numpy()
    rows = []
    for site in images["site"].unique():
        here = evaluated & (images["site"] == site).to_numpy()
        for scope, other, of_scope in scopes(images["site"], site):
            there = of_scope & ~evaluated
            # A shared patient is not seen where the source does not say who it is.
            who = known(images, elsewhere=scope == "across")
            comparable = (there & who).any()
            note = f"patient known for {(here & who).sum()} of {here.sum()} images"
            note += "" if comparable else "; for none of those to compare with"
            for kind, affected in sharing(images, pairs, here, there).items():
                counts = [int(mask.sum()) for mask in (here, here & who, affected)]
                looked_at = comparable * counts[1] if kind == "patient" else counts[0]
                fraction = counts[2] / looked_at if looked_at else np.nan
                row = [protocol, site, scope, other, kind, *counts, fraction]
                rows.append([*row, note if kind in ("patient", "any") else ""])
    return LEAKAGE.frame(rows)


def scopes(sites: pd.Series, site: str) -> Iterator[tuple[str, str, np.ndarray]]:
    """The images (bool, n) to compare a site's with: scope, other site ('' for several), which.

    sites: of each image (n,).
    """
    others = [other for other in sites.unique() if other != site]
    yield "any", "", np.ones(len(sites), dtype=bool)
    yield "within", site, (sites == site).to_numpy()
    if others:
        yield "across", "", (sites != site).to_numpy()
    for other in others:
        yield "across", other, (sites == other).to_numpy()


def prove_disjoint(images: pd.DataFrame, pairs: pd.DataFrame) -> None:
    """Stop the run if two subsets share a patient, a near-identical image or a file."""
    subset = images["subset"].to_numpy()
    for one, two in permutations(SUBSETS, 2):
        for kind, affected in sharing(images, pairs, subset == one, subset == two).items():
            if affected.any():
                example = images.loc[affected, ["site", "image"]].iloc[0]
                raise RuntimeError(
                    f"protocol patient leaks: {affected.sum()} images of {one} share a {kind} "
                    f"with {two}, e.g. {example['site']}/{example['image']}; no split is written"
                )


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--protocol", required=True)
    parser.add_argument("--site", nargs="+", required=True)
    parser.add_argument("--samples", nargs="+", required=True, type=Path, help="a file per site")
    parser.add_argument("--duplicates", required=True, type=Path)
    parser.add_argument("--split", nargs="+", required=True, type=Path, help="a file per site")
    parser.add_argument("--audit", required=True, type=Path)
    parser.add_argument(
        "--joined", required=True, type=Path, help="output, the splits of all sites"
    )
    arguments = parser.parse_args(argv)
    columns = ("image", "patient", "patient_known", "sha256")
    samples = pd.concat(read_samples(arguments.site, arguments.samples, *columns))
    joined = pd.concat([SPLIT.read(path) for path in arguments.split])
    keys = ["site", "image", "position"]
    images = samples.merge(joined[[*keys, "subset"]], on=keys, validate="one_to_one")
    if len(images) < len(joined):
        raise InputError(
            ", ".join(map(str, arguments.split)),
            expected=f"subsets of images that are where the {len(samples)} samples say",
            found=f"{len(joined) - len(images)} others, of {len(joined)}",
            fix="make the splits again from these samples",
        )
    pairs = DUPLICATES.read(arguments.duplicates, *PAIR)
    leakage = audit(images, pairs, arguments.protocol)
    outputs = {"audit": arguments.audit, "joined": arguments.joined}
    with replacing_all(outputs) as temporaries:
        LEAKAGE.write(leakage, temporaries["audit"])
        SPLIT.write(as_written(joined), temporaries["joined"])


if __name__ == "__main__":
    run(main)
