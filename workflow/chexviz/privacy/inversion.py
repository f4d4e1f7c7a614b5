"""A curious server: which images of a site come back from what the site sends."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing
from chexviz.base.progress import Progress
from chexviz.base.randomness import stream
from chexviz.base.settings import read
from chexviz.base.tables.privacy import INVERSION, SCENARIOS
from chexviz.evaluation.cases import too_few
from chexviz.evaluation.intervals import mean_spread, wilson
from chexviz.evaluation.resamples import Bootstrap, unstratified_resamples
from chexviz.federation.methods import ALGORITHMS, FedAvg, read_training
from chexviz.federation.rounds import Federation
from chexviz.federation.server import reply_of
from chexviz.federation.settings import Training, findings_of
from chexviz.federation.site import LocalSite
from chexviz.federation.train import add_start, build_sites, load_parties
from chexviz.models.dataset import Dataset, load_datasets, to_unit
from chexviz.models.device import place
from chexviz.models.model import Model, build
from chexviz.privacy.reconstruct import gradient, reconstruct
from chexviz.privacy.settings import Inversion
from chexviz.privacy.similarity import correlation, psnr, ssim

STRANGERS = 1000  # images that took no part, at most: they are all in memory


@dataclass
class Attacked:
    """What of a site is attacked.

    model: as the round began, in evaluation mode. exchanged: its parameters that travel. update:
    what the round changed in them, as the site sent it. images: (n, 1, S, S) of as many patients,
    which trained; labels: theirs (n, F). strangers: images (m, 1, S, S) of others, which did not.
    """

    model: Model
    exchanged: list[Tensor]
    update: list[Tensor]
    images: Tensor
    labels: Tensor
    strangers: Tensor

    def parameters(self, scenario: str) -> list[Tensor]:
        """Those whose gradients the server sees."""
        return list(self.model.parameters()) if scenario == "image_all" else self.exchanged

    def seen(self, scenario: str, part: slice) -> Sequence[Tensor]:
        """What the server sees of some of the images."""
        if scenario == "round":
            return self.update
        images, labels = self.images[part], self.labels[part]
        return gradient(self.model, self.parameters(scenario), images, labels)


class Found(NamedTuple):
    """What a scenario gave: a number for each image and seed, (n, seeds).

    shown: an image, what came back of it, and the stranger that it is compared with (3, S, S).
    """

    psnr: np.ndarray
    psnr_control: np.ndarray
    ssim: np.ndarray
    ssim_control: np.ndarray
    first: np.ndarray
    shown: Tensor


# --- what the site sends -------------------------------------------------------------------------


def send(federation: Federation, site: LocalSite) -> Tensor:
    """The update of a site after its first round, minus what it was sent: what training changed.

    The site trains as it does in every run, over all its images. Returns (p,), parameters alone.
    """
    shared = federation.server.sent()
    for _ in federation.local(site, shared):
        pass
    count = federation.method.exchange.parameters
    return (reply_of(site, federation.method, 1).vectors[0] - shared[0])[:count]


def attacked(
    federation: Federation, architecture: str, strangers: Dataset, settings: Inversion, seed: int
) -> Attacked:
    """The first site of a federation that is about to start.

    strangers: images of the site that do not train.
    """
    site, method = federation.sites[0], federation.method
    # Not a copy: the layers of a site that trains privately note what goes through them.
    model = place(build(architecture, site.data.heads, seed), site.device)
    model.load_state_dict(site.model.state_dict())
    model.eval()
    exchanged = method.parameters(model)
    update = method.like(exchanged, -send(federation, site))  # down the gradient
    chosen = torch.tensor(one_each(site.data.rows, settings.images, seed), device=site.device)
    others = torch.tensor(one_each(strangers.rows, STRANGERS, seed), device=site.device)
    if len(others) < len(chosen):
        raise InputError(
            "privacy: inversion: images",
            expected=f"at most as many as patients of {site.name} that do not train",
            found=f"{len(chosen)} images, {len(others)} such patients",
            fix="ask for fewer images",
        )
    images, unknown = (of(data, rows) for data, rows in ((site.data, chosen), (strangers, others)))
    return Attacked(model, exchanged, update, images, site.data.labels[chosen], unknown)


def of(data: Dataset, rows: Tensor) -> Tensor:
    """Some images of a dataset, as the models take them."""
    (images,) = data.images.batches([rows])
    return to_unit(images)


def one_each(rows: pd.DataFrame, count: int, seed: int) -> np.ndarray:
    """The positions of one image each of `count` patients, or of all if fewer, drawn at random."""
    draws = np.random.default_rng(stream(seed, "inversion", "patients"))
    order = draws.permutation(len(rows))
    first = ~rows["patient"].iloc[order].duplicated().to_numpy()
    return order[first][:count]


# --- the attack ----------------------------------------------------------------------------------


def attack(target: Attacked, scenario: str, settings: Inversion, seed: int) -> Found:
    """Reconstruct the images of a site from what the server sees of them in a scenario."""
    together = size_of(scenario, settings)
    count, size = len(target.images), target.images.shape[-1]
    parts = [slice(first, first + together) for first in range(0, count, together)]
    numbers = np.empty((5, count, settings.seeds))
    shown = None
    steps = len(parts) * settings.seeds * settings.steps
    with Progress(f"inversion, {SCENARIOS[scenario]}", total=steps, unit="step") as progress:
        for part in parts:
            seen, labels = target.seen(scenario, part), target.labels[part]
            for number in range(settings.seeds):
                key = stream(seed, "inversion", scenario, part.start, number)
                draws = torch.Generator().manual_seed(key)
                told = target.model, target.parameters(scenario), seen, labels, size, settings.steps
                for images in reconstruct(*told, draws):  # noqa: B007, the last are wanted
                    progress.step()
                controls = target.strangers[part]
                numbers[:, part, number] = measured(
                    images, target.images[part], controls[: len(labels)], target.strangers
                )
                shown = example(images, target) if shown is None else shown
    assert shown is not None
    return Found._make([*numbers, shown])


def size_of(scenario: str, settings: Inversion) -> int:
    """How many images are reconstructed at once."""
    return settings.batch if scenario in ("batch", "round") else 1


def measured(found: Tensor, images: Tensor, controls: Tensor, strangers: Tensor) -> np.ndarray:
    """The numbers of Found for images (n, ...) of which `found` (k, ...) came back: (5, n).

    Every image, and every one that took no part, is compared with what is nearest to it.
    """

    def nearest(measure, shown: Tensor) -> np.ndarray:  # type: ignore[no-untyped-def]
        pairs = [measure(one.expand_as(found), found).max().item() for one in shown]
        return np.array(pairs)

    own = correlation(images, found).amax(dim=1)
    others = correlation(strangers, found).amax(dim=1)
    first = (own[:, None] > others).all(dim=1).double().cpu().numpy()
    values = [nearest(measure, some) for measure in (psnr, ssim) for some in (images, controls)]
    return np.stack([*values, first])


def example(found: Tensor, target: Attacked) -> Tensor:
    """The first image, what came back that is most like it, and the first stranger (3, S, S)."""
    image = target.images[:1]
    best = correlation(image, found).argmax()
    return torch.stack([image[0, 0], found[best, 0], target.strangers[0, 0]]).cpu()


# --- numbers -------------------------------------------------------------------------------------


def row(found: Found, settings: Inversion, seed: int) -> dict:
    """The measures of a scenario, with intervals over patients if there are enough of them."""
    note = too_few({"images": len(found.first)}, settings.minimum_cases)
    values = {
        **{"psnr": found.psnr, "psnr_control": found.psnr_control},
        **{"psnr_leak": found.psnr - found.psnr_control},
        **{"ssim": found.ssim, "ssim_control": found.ssim_control},
        **{"ssim_leak": found.ssim - found.ssim_control},
    }
    told: dict = {"note": note, "first": found.first.mean()}
    for name, all_seeds in values.items():
        means = all_seeds.mean(axis=1)
        told[name] = means.mean()
        if not note:
            low, high = interval(means, settings.bootstrap, seed)
            told |= {f"{name}_low": low, f"{name}_high": high}
    if not note:
        # Seeds of one image are not independent: as many trials as images.
        ends = wilson(told["first"], len(found.first), settings.bootstrap.confidence)
        told |= dict(zip(("first_low", "first_high"), ends, strict=True))
    return told


def interval(values: np.ndarray, how: Bootstrap, seed: int) -> tuple[float, float]:
    """Of a mean of patients' values (n,), by resampling them, with Student's t of their number."""
    draws = np.random.default_rng(stream(how.seed, "inversion", seed))
    drawn = unstratified_resamples(len(values), how.replicates, draws)
    means = np.concatenate([values @ weights / len(values) for weights in drawn])
    spread, quantile = mean_spread(means, len(values), how.confidence)
    middle = float(values.mean())
    return middle - quantile * spread, middle + quantile * spread


# --- the job -------------------------------------------------------------------------------------


def start(arguments: argparse.Namespace, settings: Training) -> Federation:
    """The federation of a run before its first round."""
    sites = build_sites(arguments, settings, load_parties(arguments, settings))
    method: FedAvg = ALGORITHMS[settings.method.algorithm](settings, sites)
    return Federation(sites, settings, method)


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_start(parser)
    parser.add_argument("--method", required=True, help="its name, to be told")
    parser.add_argument("--attack", required=True, help="JSON of an Inversion")
    parser.add_argument("--table", required=True, type=Path)
    parser.add_argument("--pictures", required=True, type=Path, help="npz, an array a scenario")
    arguments = parser.parse_args(argv)
    settings = read(arguments.attack, Inversion, "--attack")
    federation = start(arguments, read_training(arguments.settings))
    site = federation.sites[0]
    known = {site.name: findings_of(arguments.site)[site.name]}
    files = (arguments.images, arguments.split, ["validation", "evaluation"])
    (strangers,) = load_datasets(known, *files, [site.device])
    target = attacked(federation, arguments.architecture, strangers, settings, arguments.seed)
    found = {one: attack(target, one, settings, arguments.seed) for one in SCENARIOS}
    about = {
        **{"architecture": arguments.architecture, "method": arguments.method},
        **{"seed": arguments.seed, "site": site.name, "images": len(target.images)},
        **{"seeds": settings.seeds, "candidates": len(target.strangers) + 1},
        "chance": 1 / (len(target.strangers) + 1),
    }
    rows = [
        about
        | {"scenario": name, "together": size_of(name, settings)}
        | row(one, settings, arguments.seed)
        for name, one in found.items()
    ]
    with replacing(arguments.table) as temporary:
        INVERSION.write(pd.DataFrame(rows).reindex(columns=INVERSION.names), temporary)
    pictures = {name: (255 * one.shown).byte().numpy() for name, one in found.items()}
    with replacing(arguments.pictures) as temporary:
        np.savez(temporary, allow_pickle=False, **pictures)


if __name__ == "__main__":
    run(main)
