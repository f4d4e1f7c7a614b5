"""What the perceptual hashes of the audit between sites give away (docs/privacy.md).

They leave a site with their bits in a secret order and some of them turned (cohort.keyed_hashes).
Two attacks, on each site by one that has the radiographs of the others:

- order: the scrambled hashes and plain ones of other radiographs say which bit is which, as means
  and correlations of bits are alike. Measured is how many of the 64 are put in their place.
- picture: a radiograph is drawn from its unscrambled hash. Measured is its correlation with the
  radiograph, each less the mean radiograph; that with radiographs of other patients (`control`);
  and how often the radiograph is the most alike of all of the site (`first`).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import quadratic_assignment

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing
from chexviz.base.progress import Progress
from chexviz.base.randomness import stream
from chexviz.base.settings import read as read_settings
from chexviz.base.tables.privacy import HASHES
from chexviz.base.tables.sites import SAMPLES
from chexviz.cohort.duplicates import BITS
from chexviz.cohort.keyed_hashes import scrambled
from chexviz.evaluation.cases import too_few
from chexviz.evaluation.intervals import mean_spread
from chexviz.evaluation.localise import resampled_means
from chexviz.evaluation.resamples import Resampling, units
from chexviz.evaluation.samples import add_samples
from chexviz.images.arrays import open_images

HASHED = 32  # side of the image that the perceptual hash looks at
KEYS = 20  # secrets under which a site's hashes are scrambled, each attacked anew
RANDOM_STARTS = 3  # of the solver, beside two by the bits' means; the best solution counts
MEANS = 8.0  # weight of how alike the means of two bits are, against their correlations
MOST = 2000  # images of a site that are looked at: means of more say no more
MEASURES = ("correlation", "control", "first")
NO_OTHER = "no other site has radiographs to attack with"


class Known:
    """What is looked at of a site: hashes uint64 (n,), images float64 (n, 32, 32), patients."""

    def __init__(self, samples: Path, images: Path, site: str, seed: int):
        table = SAMPLES.read(samples, "image", "patient", "phash")
        generator = np.random.default_rng(stream(seed, "hashes", site))
        chosen = np.sort(generator.permutation(len(table))[:MOST])
        self.rows = table.iloc[chosen].reset_index(drop=True)
        self.hashes = np.array([int(one, 16) for one in self.rows["phash"]], dtype=np.uint64)
        self.images = reduced(open_images(images, site), chosen)


def reduced(stacks: list[np.ndarray], chosen: np.ndarray) -> np.ndarray:
    """Some images as the perceptual hash sees them, float64 (n, 32, 32)."""
    starts = np.cumsum([0, *map(len, stacks)])
    made = []
    for image in chosen:
        stack = int(np.searchsorted(starts, image, side="right")) - 1
        pixels = stacks[stack][image - starts[stack]]
        step = len(pixels) // HASHED
        made.append(pixels.reshape(HASHED, step, HASHED, step).mean(axis=(1, 3)))
    return np.stack(made)


def bits(hashes: np.ndarray) -> np.ndarray:
    """The bits of hashes uint64 (n,), the lowest first: float64 (n, 64) of 0 and 1."""
    return ((hashes[:, None] >> np.arange(BITS, dtype=np.uint64)) & np.uint64(1)).astype(float)


def likeness(hashes: np.ndarray) -> np.ndarray:
    """How hashes' bits go together, (64, 64), whichever of them are turned.

    Off the diagonal the size of their correlation, on it how far their mean is from a half.
    """
    values = bits(hashes)
    means = values.mean(axis=0)
    spread = values.std(axis=0)
    spread[spread == 0] = 1  # a bit that never changes goes with no other
    found = np.abs(((values - means) / spread).T @ ((values - means) / spread)) / len(values)
    np.fill_diagonal(found, MEANS * np.abs(means - 0.5))
    return found


def in_place(hashes: np.ndarray, others: np.ndarray, key: bytes) -> int:
    """How many bits of hashes scrambled under a key the others' plain hashes put in their place.

    The best of several solutions of the quadratic assignment problem (Vogelstein et al. 2015).
    """
    secret, known = likeness(scrambled(hashes, key)), likeness(others)
    # By their means alone the bits would stand in this order.
    by_means = np.zeros((BITS, BITS))
    by_means[np.diag(secret).argsort(), np.diag(known).argsort()] = 1
    generator = np.random.default_rng(int.from_bytes(key, "big"))
    starts = [by_means, (by_means + 1 / BITS) / 2, *["randomized"] * RANDOM_STARTS]
    solved = [
        quadratic_assignment(secret, known, options={"maximize": True, "P0": one, "rng": generator})
        for one in starts
    ]
    guess = max(solved, key=lambda one: one.fun).col_ind
    # Where each bit is: that of a hash in which it alone is set, against one without any.
    alone = np.array([0, *(1 << bit for bit in range(BITS))], dtype=np.uint64)
    moved = scrambled(alone, key)
    places = np.log2((moved[1:] ^ moved[0]).astype(float)).round().astype(int)
    return int((guess[places] == np.arange(BITS)).sum())


class Pictures:
    """Draws radiographs from hashes: what bits say of the images (n, 32, 32) of others, linearly.

    mean: of these images, which is drawn of a hash that says nothing.
    """

    def __init__(self, hashes: np.ndarray, images: np.ndarray):
        self.middle, flat = bits(hashes).mean(axis=0), images.reshape(len(images), -1)
        self.mean = flat.mean(axis=0)
        given = bits(hashes) - self.middle
        # A ridge of one image, so that fewer images than bits, or a constant bit, do no harm.
        weighed = given.T @ given + np.eye(BITS)
        self.told = np.linalg.solve(weighed, given.T @ (flat - self.mean))

    def draw(self, hashes: np.ndarray) -> np.ndarray:
        """What is drawn of hashes, less the mean, float64 (n, 1024)."""
        return (bits(hashes) - self.middle) @ self.told


def alike(drawn: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Correlations (n, m) of what is drawn (n, p) with images (m, p), both less a mean."""
    one, two = (values - values.mean(axis=1, keepdims=True) for values in (drawn, images))
    one, two = (values / np.linalg.norm(values, axis=1, keepdims=True) for values in (one, two))
    return one @ two.T


def pictured(site: Known, others: list[Known]) -> pd.DataFrame:
    """Of each radiograph of a site: `correlation` of what is drawn with it, `control` that with
    another patient's, `first` whether it is the most alike of all."""
    hashes = np.concatenate([one.hashes for one in others])
    pictures = Pictures(hashes, np.concatenate([one.images for one in others]))
    images = site.images.reshape(len(site.images), -1) - pictures.mean
    found = alike(pictures.draw(site.hashes), images)
    patients = pd.factorize(site.rows["patient"])[0]
    foreign = patients[:, None] != patients
    own = np.diag(found)
    return pd.DataFrame(
        {
            "correlation": own,
            "control": (found * foreign).sum(axis=1) / foreign.sum(axis=1),
            "first": (own >= found.max(axis=1)).astype(float),
        }
    )


def bounds(
    values: np.ndarray, rows: pd.DataFrame, site: str, settings: Resampling
) -> tuple[float, float, str]:
    """Low and high of a mean over images (n,), by resampling, or a note why there are none."""
    unit, told = units(rows, settings.bootstrap.unit), settings.bootstrap
    count = int(unit.max()) + 1
    note = too_few({f"{told.unit}s": count}, settings.minimum_cases)
    if note or not np.ptp(values):
        return np.nan, np.nan, note or "all alike, no interval"
    generator = np.random.default_rng(stream(told.seed, "hashes", site, "bootstrap"))
    means = resampled_means(values[:, None], unit, told.replicates, generator)[:, 0]
    spread, reach = mean_spread(means, count, told.confidence)
    return values.mean() - reach * spread, values.mean() + reach * spread, ""


def order_row(site: Known, others: list[Known], settings: Resampling) -> list:
    """How many bits are put in their place, over several secrets: value, low, high, note."""
    told = settings.bootstrap
    known = np.concatenate([one.hashes for one in others])
    keys = [stream(told.seed, "secret", number).to_bytes(8, "big") for number in range(KEYS)]
    found = np.array([in_place(site.hashes, known, key) for key in keys])
    low, high = np.quantile(found, [0, 1])
    return [found.mean(), low, high, f"range over {KEYS} secrets"]


def site_rows(name: str, site: Known, others: list[Known], settings: Resampling) -> Iterator[list]:
    """The rows of a site, see HASHES."""
    counts = [len(site.rows), site.rows["patient"].nunique()]
    if not others:
        yield [name, "picture", "correlation", *[np.nan] * 3, *counts, NO_OTHER]
        return
    *numbers, note = order_row(site, others, settings)
    yield [name, "order", "bits", *numbers, *counts, note]
    found = pictured(site, others)
    for measure in MEASURES:
        values = found[measure].to_numpy()
        *limits, note = bounds(values, site.rows, name, settings)
        yield [name, "picture", measure, values.mean(), *limits, *counts, note]


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_samples(parser)
    parser.add_argument("--images", required=True, type=Path, help="sites.csv")
    parser.add_argument("--settings", required=True, metavar="JSON", help="a Resampling")
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args(argv)
    settings = read_settings(arguments.settings, Resampling)
    seed = settings.bootstrap.seed
    sites = {
        site: Known(Path(file), arguments.images, site, seed) for site, file in arguments.samples
    }
    rows: list[list] = []
    with Progress("hashes", total=len(sites), unit="site") as progress:
        for name, site in sites.items():
            others = [one for other, one in sites.items() if other != name]
            rows += site_rows(name, site, others, settings)
            progress.step()
    with replacing(arguments.output) as temporary:
        HASHES.write(rows, temporary)


if __name__ == "__main__":
    run(main)
