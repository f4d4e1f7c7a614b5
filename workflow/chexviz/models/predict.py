"""Score all sites' images with a model, map where it looked (Grad-CAM), and keep its features."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing
from chexviz.base.settings import Positive, Settings, read
from chexviz.base.sites import Site, add_findings, sites_of
from chexviz.base.tables.models import MEAN, PREDICTIONS, UNTRAINED, answer
from chexviz.base.tables.sites import LABEL
from chexviz.models import device
from chexviz.models.dataset import Dataset, load_datasets
from chexviz.models.files import load_model
from chexviz.models.model import Model, build
from chexviz.models.scoring import Known, features_of, is_mapped, known_by, score


class Prediction(Settings, frozen=True):
    """How images are scored."""

    threads: Positive


class Method(NamedTuple):
    """The models of a method. sites: of the run, by name.

    files: one model of all sites; or one for each that trains, in their order. ensemble: whether
    the latter are one method together.
    """

    files: list[Path]
    sites: Mapping[str, Site]
    ensemble: bool

    @property
    def several(self) -> bool:
        """Whether every site has trained a model of its own."""
        return self.ensemble or len(self.files) > 1

    def models(self, site: str) -> list[Model]:
        """The models that score a site's images, its own first; a baseline scores external ones."""
        if not self.several:
            return [load_model(self.files[0], site)]
        training = [name for name, one in self.sites.items() if one.trains]
        files = dict(zip(training, self.files, strict=True))
        if site in files:
            own = {site: files.pop(site)}
            files = own | files if self.ensemble else own
        return [load_model(path, name) for name, path in files.items()]

    def heads(self, known: Mapping[str, list[str]]) -> list[Known]:
        """The heads whose scores are told, of those that know each finding, and their mean.

        The mean is told where several heads know a finding, unless each is a model of its own; of
        an ensemble it is all that there is.
        """
        told = []
        for finding, heads in known.items():
            if not self.ensemble:
                told += [(finding, head) for head in heads]
            if self.ensemble or (len(heads) > 1 and not self.several):
                told.append((finding, MEAN))
        return told

    def mapped(self, site: Site, told: list[Known]) -> list[Known]:
        """The heads whose Grad-CAM maps are made, for the findings of a site: the model's answer.

        Of baselines each head is a model of its own, and has maps of its own.
        """
        heads = by_finding(told)
        alone = self.several and not self.ensemble
        return [
            (finding, head)
            for finding in site.findings
            if finding in heads
            for head in (heads[finding] if alone else [answer(site.name, heads[finding])])
        ]


def by_finding(known: Iterable[Known]) -> dict[str, list[str]]:
    """The heads that know each finding."""
    heads = defaultdict(list)
    for finding, head in known:
        heads[finding].append(head)
    return dict(heads)


def means(scores: Mapping[Known, np.ndarray], told: list[Known]) -> dict[Known, np.ndarray]:
    """The scores (n,) that are told: of heads, and the means of all heads of a finding."""
    heads = by_finding(scores)

    def of(finding: str, head: str) -> np.ndarray:
        chosen = heads[finding] if head == MEAN else [head]
        return np.mean([scores[finding, one] for one in chosen], axis=0)

    return {one: of(*one) for one in told}


def table_of(scores: Mapping[Known, np.ndarray], data: Dataset) -> pd.DataFrame:
    """The rows of PREDICTIONS: all images of a site for each finding and head."""
    tables = []
    for (finding, head), values in scores.items():
        rows = data.rows[["site", "image", "patient", "subset"]].assign(finding=finding)
        labels = data.rows.get(f"{LABEL}{finding}", np.nan)
        tables.append(rows.assign(label=labels, head=head, score=values))
    return pd.concat(tables, ignore_index=True).astype({"label": "Int64"})


def images_of(data: Dataset) -> np.ndarray:
    """The ids of a site's images (n,)."""
    return data.rows["image"].to_numpy(dtype=str)


def untrained(architecture: str, seed: str) -> Model:
    """A model with the random weights that a training of this seed could start from."""
    return build(architecture, {}, int(seed)).eval()


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument(
        "--model", nargs="+", required=True, type=Path, help="one of all sites, or one per site"
    )
    parser.add_argument(
        "--ensemble", action="store_true", help="every model scores every site: their mean"
    )
    add_findings(parser)
    parser.add_argument("--images", required=True, type=Path, help="the list of all sites' arrays")
    parser.add_argument("--split", required=True, type=Path, help="of all sites")
    parser.add_argument("--settings", required=True, help="JSON of a Prediction")
    parser.add_argument("--predictions", required=True, type=Path)
    parser.add_argument("--gradcam", required=True, type=Path)
    parser.add_argument(
        "--features", type=Path, help="what the representation block of one model makes of images"
    )
    parser.add_argument(
        "--untrained",
        nargs=2,
        metavar=("ARCHITECTURE", "SEED"),
        help="and the one of random weights, to compare it with",
    )
    arguments = parser.parse_args(argv)
    where = device.choose(read(arguments.settings, Prediction).threads)
    sites = sites_of(arguments.findings)
    method = Method(arguments.model, sites, arguments.ensemble)
    labelled = {name: site.findings for name, site in sites.items()}
    files = (arguments.images, arguments.split, ["validation", "evaluation"])
    tables, maps = [], {}
    features: dict[str, np.ndarray] = {}
    for data in load_datasets(labelled, *files, [where]):
        models = [device.place(model, where).eval() for model in method.models(data.site)]
        known = (one for model in models for one in known_by(model))
        told = method.heads(by_finding(dict.fromkeys(known)))
        wanted = method.mapped(sites[data.site], told)
        scores, found, seen = score(models, data, wanted)
        features[f"image_{data.site}"] = images_of(data)
        if len(models) == 1:
            features[f"features_{data.site}"] = seen
        if arguments.untrained:
            model = device.place(untrained(*arguments.untrained), where)
            features[f"{UNTRAINED}_{data.site}"] = features_of(model, data)
        tables.append(table_of(means(scores, told), data))
        for (finding, head), values in found.items():
            name = f"{data.site}_{finding}_{head}"
            maps[f"map_{name}"] = values
            maps[f"image_{name}"] = images_of(data)[is_mapped(data.rows, finding)]
    with replacing(arguments.predictions) as temporary:
        PREDICTIONS.write(pd.concat(tables), temporary)
    with replacing(arguments.gradcam) as temporary:
        np.savez(temporary, allow_pickle=False, **maps)
    if arguments.features:
        with replacing(arguments.features) as temporary:
            np.savez(temporary, allow_pickle=False, **features)


if __name__ == "__main__":
    run(main)
