"""What a site tells of its images so that sites can find what they share, without saying whose.

Patients and files become HMACs under a secret that the sites share and the coordinator has not, and
perceptual hashes are scrambled under it so that their distances stay. docs/security.md says what
can be learnt from that.
"""

import hmac
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing
from chexviz.base.private_files import read_secret
from chexviz.base.tables.sites import SAMPLES
from chexviz.base.tables.study import KEYED, SPLIT
from chexviz.cohort.duplicates import BITS
from chexviz.cohort.leakage import known

NAME = 16  # hexadecimal digits that say which secret it was
READ = ("image", "patient", "patient_known", "sha256", "phash")  # of samples.csv


def keyed(key: bytes, purpose: str, text: str) -> str:
    """HMAC-SHA256 of a text under the sites' secret, in hexadecimal.

    purpose: what the text is, so that a patient and a file of the same name have nothing in common.
    """
    return hmac.digest(key, f"chexviz {purpose}\0{text}".encode(), "sha256").hex()


def normalised(patient: str) -> str:
    """What the spellings of a patient's id at several sites share: no case, no outer spaces, NFKC.

    Leading zeros stay, since an id may differ by them alone.
    """
    return unicodedata.normalize("NFKC", patient).strip().casefold()


def scrambled(hashes: np.ndarray, key: bytes) -> np.ndarray:
    """uint64 (n,) with their bits in a secret order, and a secret half of them turned.

    Two of them differ in as many bits as before.
    """
    order = sorted(range(BITS), key=lambda bit: keyed(key, "bit", str(bit)))
    found = np.zeros_like(hashes)
    for place, bit in enumerate(order):
        found |= ((hashes >> np.uint64(bit)) & np.uint64(1)) << np.uint64(place)
    return found ^ np.uint64(int(keyed(key, "turned", "")[: BITS // 4], 16))


def images_of(samples: Path, split: Path) -> pd.DataFrame:
    """The images that a site uses: the rows of its split, with what samples.csv says of each.

    Raises InputError if the split has an image that is not where the samples say.
    """
    rows, table = SPLIT.read(split, "image", "subset", "position"), SAMPLES.read(samples, *READ)
    table = table.assign(position=range(len(table)))
    found = rows.merge(table, on=["image", "position"], how="left", validate="one_to_one")
    absent = found["sha256"].isna()
    if absent.any():
        raise InputError(
            split,
            expected=f"images of {samples}, at their positions",
            found=f"{absent.sum()} others, e.g. {found.loc[absent, 'image'].iloc[0]!r}",
            fix="make the split of the site again from these samples",
        )
    return found


def keyed_rows(images: pd.DataFrame, key: bytes, *, with_phash: bool = True) -> pd.DataFrame:
    """The rows of KEYED, not yet sorted; the index is that of the image that each is of.

    images: columns patient, patient_known, sha256, phash, subset. A patient whom other sites would
    not recognise is left out.
    """
    who = images["patient"].where(known(images, elsewhere=True))
    files = pd.DataFrame(
        {
            "subset": images["subset"],
            "patient": [keyed(key, "patient", normalised(one)) for one in who.fillna("")],
            "file": [keyed(key, "file", one) for one in images["sha256"]],
        },
        index=images.index,
    )
    files["patient"] = files["patient"].where(who.notna())
    parts = [files]
    if with_phash:
        hashes = np.array([int(one, 16) for one in images["phash"]], dtype=np.uint64)
        told = [f"{one:0{BITS // 4}x}" for one in scrambled(hashes, key)]
        parts.append(pd.DataFrame({"subset": images["subset"], "phash": told}, index=images.index))
    rows = pd.concat(parts).assign(key=keyed(key, "key", "")[:NAME])
    return rows.reindex(columns=KEYED.names)


def told(rows: pd.DataFrame) -> pd.DataFrame:
    """The table that leaves the site: in the order of the hashes, which is none of the site's."""
    return rows.sort_values(["file", "phash", "subset", "patient"], ignore_index=True)


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--samples", required=True, type=Path, help="of the site")
    parser.add_argument("--split", required=True, type=Path, help="of the site: what it uses")
    parser.add_argument("--key", required=True, type=Path, help="the secret of all sites")
    parser.add_argument(
        "--without-phash",
        action="store_true",
        help="tell no perceptual hashes: near-identical images are not found",
    )
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args(argv)
    images = images_of(arguments.samples, arguments.split)
    key = read_secret(arguments.key)
    rows = keyed_rows(images, key, with_phash=not arguments.without_phash)
    with replacing(arguments.output) as temporary:
        KEYED.write(told(rows), temporary)


if __name__ == "__main__":
    run(main)
