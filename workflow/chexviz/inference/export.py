"""A trained model to a bundle, which needs neither this workflow nor PyTorch.

The model is the one that scores external sites: of layers that sites keep to themselves, it has the
mean. Its graph is written for ONNX Runtime, run on images of the study, and has to give what
PyTorch gives.
"""

import platform
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pandas as pd
import torch
from torch import Tensor, nn

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing_all, sha256
from chexviz.base.methods import BASELINE
from chexviz.base.settings import read as read_settings
from chexviz.base.sites import Site, add_findings, sites_of
from chexviz.base.tables.study import SPLIT
from chexviz.evaluation import calibrate
from chexviz.images.arrays import gather, locate, open_images
from chexviz.inference import card, quality
from chexviz.inference.bundle import (
    ABOUT,
    CARD,
    FORMAT,
    GRAPH,
    PAGE,
    PARTS,
    RESEARCH,
    WEIGHTS,
    Bundle,
    Place,
    Preprocessing,
    seal,
)
from chexviz.inference.learned import learn
from chexviz.inference.runtime import GRADIENTS, IMAGES, LOGITS, MAPS, Runtime
from chexviz.models import files
from chexviz.models.dataset import to_unit
from chexviz.models.model import Model, TaskBlock, pooled
from chexviz.models.scoring import explained, known_by, logits
from chexviz.reporting.titles import add_titles

OPSET = 17  # of ONNX: has all that the models need, and old runtimes know it
TOLERANCE = (
    1e-4  # by which ONNX Runtime may differ from PyTorch, in a probability or a map in [0, 1]
)
COMPARED = 24  # images of the study on which the two are compared
TYPICAL = 4000  # images that trained, which tell what the others look like
NOBODY = ""  # a site that took no part in training, as which the model is taken
PACKAGES = ("torch", "onnx", "onnxruntime", "numpy", "scipy")


class Settings(calibrate.Settings, frozen=True):
    """What a bundle is told: how images are made, and how validation images teach."""

    preprocessing: Preprocessing


class Graph(nn.Module):
    """A model as its bundle has it: see runtime for its input and its outputs."""

    def __init__(self, model: Model):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = self.model.representation(to_unit(images))
        features = pooled(maps)
        blocks = [self.model.task(head) for head in self.model.heads]
        logits = torch.cat([block(features) for block in blocks], dim=1)
        return logits, maps, torch.cat([gradients(block, features) for block in blocks], dim=1)


def gradients(block: TaskBlock, features: Tensor) -> Tensor:
    """The gradients (n, F, C) of a task block's logits with respect to pooled features (n, C).

    In closed form, since ONNX has no backward pass: the hidden units that are open pass on the
    product of the weights before and after them.
    """
    first, *_, last = block.layers
    is_open = (first(features) > 0).to(features.dtype)
    return (is_open.unsqueeze(1) * last.weight) @ first.weight


def write_graph(model: Model, size: int, path: Path, **about: str) -> None:
    """Write a model as ONNX. size: of its images. about: what the file says of itself.

    By PyTorch's exporter of traces, which takes a quarter of the time of the newer one and needs no
    further package; both give graphs that run equally fast.
    """
    # Nothing of a trace depends on the number of images or on what is in them.
    example = torch.zeros(2, size, size, dtype=torch.uint8)
    outputs = (LOGITS, MAPS, GRADIENTS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the other exporter is newer
        torch.onnx.export(
            Graph(model).eval(),
            (example,),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=[IMAGES],
            output_names=[*outputs],
            dynamic_axes={name: {0: "n"} for name in (IMAGES, *outputs)},
        )
    graph = onnx.load(path)
    for node in graph.graph.node:
        node.ClearField("doc_string")  # where in which file of this machine it comes from
    onnx.helper.set_model_props(graph, {"note": RESEARCH} | about)
    onnx.checker.check_model(graph)
    path.write_bytes(graph.SerializeToString(deterministic=True))


# --- images of the study -------------------------------------------------------------------------


def study_images(images: Path, rows: pd.DataFrame, most: int) -> np.ndarray:
    """Images uint8 (n, S, S) of these rows of the split, evenly.

    most: in all, as many of each site, but one of each at least.
    """
    found, share = [], max(most // rows["site"].nunique(), 1)
    for site, own in rows.groupby("site", sort=True):
        positions = own["position"].sort_values().to_numpy()
        chosen = np.unique(
            np.linspace(0, len(positions) - 1, min(share, len(positions))).astype(int)
        )
        stacks = open_images(images, str(site))
        found.append(gather(stacks, *locate(stacks, positions[chosen])))
    return np.concatenate(found)


def of_training(split: pd.DataFrame, trained: Sequence[str]) -> pd.DataFrame:
    """The rows of the split whose images have trained the model. trained: its sites."""
    return split[split["site"].isin(trained) & (split["subset"] == "train")]


# --- equal to PyTorch ----------------------------------------------------------------------------


def require_equal(model: Model, runtime: Runtime, images: np.ndarray, path: Path) -> None:
    """Raise InputError unless the graph gives what PyTorch gives for these images uint8 (n, S, S).

    Maps are compared relative to their maximum, as they are shown.
    """
    seen = runtime.run(images, mapped=True)
    with torch.no_grad():
        maps = model.representation(to_unit(torch.from_numpy(images)))
        wanted = {
            head: torch.sigmoid(column).numpy()
            for head, column in logits(model, pooled(maps)).items()
        }
    differing = {" ".join(head): apart(seen.scores[head], wanted[head]) for head in wanted}
    everything = torch.ones(len(images), dtype=torch.bool)
    for finding in runtime.bundle.findings:
        explaining = explained([model], (finding.name, finding.answer), everything)
        expected = explaining.maps(maps, torch.arange(len(images))).numpy()
        scale = max(float(expected.max()), 1e-12)
        found = apart(seen.maps[finding.name] / scale, expected / scale)
        differing[f"the map of {finding.name}"] = found
    name, worst = max(differing.items(), key=lambda item: item[1])
    if not worst <= TOLERANCE:
        raise InputError(
            path,
            expected=f"what PyTorch gives, to {TOLERANCE:g}",
            found=f"a difference of {worst:.2g} in {name}",
            fix="report it with the versions of torch, onnx and onnxruntime",
        )


def apart(values: np.ndarray, others: np.ndarray) -> float:
    """The largest difference of two arrays."""
    return float(np.abs(values - others).max())


# --- the bundle ----------------------------------------------------------------------------------


def versions() -> dict[str, str]:
    """What a bundle is made with."""
    found = {name: metadata.version(name).partition("+")[0] for name in PACKAGES}
    return {"python": platform.python_version()} | found


def trained_by(model: Model, method: str, sites: Mapping[str, Site]) -> list[str]:
    """The sites that have trained a model: all that train, or the one whose baseline it is."""
    training = [name for name, site in sites.items() if site.trains]
    return [name for name in training if method != BASELINE or name in model.heads]


def places(titles: Sequence[Mapping]) -> list[Place]:
    """The sites of the study. titles: see reporting.titles."""
    return [
        Place(title=site["title"], trains=site["role"] == "train", findings=site["findings"])
        for site in titles
    ]


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--model", required=True, type=Path, help="of all sites, or a baseline")
    parser.add_argument("--predictions", required=True, type=Path, help="the model's scores")
    parser.add_argument("--images", required=True, type=Path, help="the list of all sites' arrays")
    parser.add_argument("--split", required=True, type=Path, help="of all sites")
    for name in ("metrics", "subgroups", "participants", "audit"):
        parser.add_argument(f"--{name}", required=True, type=Path, help="a table for the card")
    for name in ("protocol", "method"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--seed", required=True, type=int)
    add_findings(parser)
    add_titles(parser)
    parser.add_argument("--settings", required=True, help="JSON of Settings")
    parser.add_argument("--mark", default="", help="a text that every output shows")
    parser.add_argument("--folder", required=True, type=Path, help="the bundle")
    arguments = parser.parse_args(argv)
    settings = read_settings(arguments.settings, Settings)
    sites = sites_of(arguments.findings)
    torch.set_num_threads(1)  # the same bytes on every machine
    model = files.load_model(arguments.model, NOBODY).eval()
    outputs = known_by(model)
    trained = trained_by(model, arguments.method, sites)
    # A baseline knows nothing of the other sites that train, nor is it evaluated there.
    titles = [one for one in arguments.titles if one["role"] != "train" or one["name"] in trained]
    split = SPLIT.read(arguments.split, "site", "subset", "position")
    named = ("model", "predictions", "split", "metrics", "subgroups", "participants", "audit")
    made_from = {name: sha256(getattr(arguments, name)) for name in named}
    about = files.load(arguments.model)[1]
    bundle = Bundle(
        format=FORMAT,
        mark=arguments.mark,
        protocol=arguments.protocol,
        architecture=about["architecture"],
        method=arguments.method,
        seed=arguments.seed,
        sites=places(titles),
        preprocessing=settings.preprocessing,
        outputs=outputs,
        findings=learn(str(arguments.predictions), outputs, sites, settings),
        likeness=quality.learn(
            study_images(arguments.images, of_training(split, trained), TYPICAL)
        ),
        made_from=made_from,
        made_with=versions(),
        tested=[],
    )
    tables = card.read(
        arguments.metrics, arguments.subgroups, arguments.participants, arguments.audit
    )
    bundle = msgspec.structs.replace(bundle, tested=card.tested(bundle, tables, titles))
    written = card.write(bundle, tables, titles, about.get("privacy"))
    compared = study_images(arguments.images, split[split["subset"] != "train"], COMPARED)
    with replacing_all({name: arguments.folder / name for name in (*PARTS, ABOUT)}) as paths:
        write_graph(model, settings.preprocessing.size, paths[GRAPH], mark=arguments.mark)
        said = {"architecture": bundle.architecture, "heads": model.heads}
        said |= {"mark": arguments.mark, "note": RESEARCH}
        files.save(paths[WEIGHTS], model.state_dict(), **said)
        paths[CARD].write_text(written.markdown, encoding="utf-8")
        paths[PAGE].write_text(written.html, encoding="utf-8")
        paths[ABOUT].write_bytes(seal(bundle, paths))
        runtime = Runtime(paths[GRAPH].read_bytes(), bundle, threads=1)
        require_equal(model, runtime, compared, arguments.model)
    print(f"bundle {arguments.folder}: equal to PyTorch on {len(compared)} images", file=sys.stderr)


if __name__ == "__main__":
    run(main)
