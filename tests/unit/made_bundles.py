"""Bundles of models with random weights, for tests of all that uses one."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import torch

from chexviz.inference import export, quality
from chexviz.inference.bundle import (
    ABOUT,
    CARD,
    FORMAT,
    GRAPH,
    PAGE,
    PARTS,
    WEIGHTS,
    Bundle,
    Finding,
    Learned,
    Place,
    Point,
    Preprocessing,
    Tested,
    seal,
)
from chexviz.models import files
from chexviz.models.model import Model, build
from chexviz.models.scoring import known_by
from made_dicoms import chest

SIZE = 32
HEADS = {"north": ["pneumonia"], "south": ["pneumothorax", "pneumonia"]}
MARK = "DEMO: random weights"


TESTED = [
    Tested(
        site="north",
        finding="pneumonia",
        attribute=attribute,
        group=group,
        images=images,
        positives=20,
        measures={"auroc": (value, value - 0.05, value + 0.05)},
    )
    for attribute, group, images, value in (
        ("all", "all", 100, 0.8),
        ("view", "PA", 60, 0.75),
        ("sex", "F", 50, 0.85),
        ("age", "40-59", 30, 0.9),
        ("age", "60+", 20, 0.7),
    )
]


def model_of(heads=HEADS, architecture: str = "standard", size: int = SIZE) -> Model:
    """A model with random weights, whose scores are about a half, and whose maps are not zero.

    Its BatchNorm has seen some images, so that it tells images apart.
    """
    model = build(architecture, heads, seed=3)
    images = torch.from_numpy(chests(8, size))
    with torch.no_grad():
        for _ in range(20):
            model(images[:, None] / 255, list(heads))
        model.eval()
        for head in heads:
            first, *_, last = model.tasks[head].layers
            first.weight.abs_()
            last.weight.abs_()
            last.bias -= model(images[:, None] / 255, [head]).mean(dim=0)
    return model


def chests(count: int, size: int = SIZE) -> np.ndarray:
    """Smooth images uint8 (n, size, size), all different."""
    return np.stack([chest(number, (size, size)) for number in range(count)])


def taught(points: dict[str, float], temperature: float | None, note: str = "") -> Learned:
    """What validation images may have taught."""
    return Learned(
        points=[Point(name=name, threshold=at) for name, at in points.items()],
        temperature=temperature,
        images=60,
        patients=40,
        positives=20,
        note=note,
    )


def about(model: Model, architecture: str = "standard", size: int = SIZE, **changes) -> Bundle:
    """The bundle of a model: pneumonia is calibrated, of pneumothorax nothing was taught."""
    outputs = known_by(model)
    heads: dict[str, list[str]] = {}
    for finding, head in outputs:
        heads.setdefault(finding, []).append(head)
    lessons = {"pneumonia": taught({"youden": 0.5, "sensitivity-0.9": 0.4}, 2.0)}
    nothing = taught({}, None, "the protocol has no validation images")
    findings = [
        Finding(name=name, heads=own, learned=lessons.get(name, nothing))
        for name, own in heads.items()
    ]
    whole = Bundle(
        format=FORMAT,
        mark=MARK,
        protocol="patient",
        architecture=architecture,
        method="fedavg",
        seed=3,
        sites=[Place(title=head, trains=True, findings=own) for head, own in model.heads.items()],
        preprocessing=Preprocessing(size=size, fit="pad", max_pixels=10**6),
        outputs=outputs,
        findings=findings,
        likeness=quality.learn(chests(20, size)),
        made_from={"model": "0" * 64},
        made_with={"torch": "2"},
        tested=TESTED,
    )
    return msgspec.structs.replace(whole, **changes)


def write(folder: Path, model: Model, bundle: Bundle) -> Bundle:
    """Write a bundle's folder; what it then is."""
    folder.mkdir(parents=True)
    paths = {name: folder / name for name in PARTS}
    export.write_graph(model, bundle.preprocessing.size, paths[GRAPH])
    files.save(paths[WEIGHTS], model.state_dict())
    for name in (CARD, PAGE):
        paths[name].write_text("a card")
    (folder / ABOUT).write_bytes(seal(bundle, paths))
    return msgspec.json.decode((folder / ABOUT).read_bytes(), type=Bundle)


def resealed(folder: Path, target: Path, **changes) -> Path:
    """A copy of a bundle's folder that says something else, and is whole."""
    shutil.copytree(folder, target)
    bundle = msgspec.json.decode((folder / ABOUT).read_bytes(), type=Bundle)
    changed = msgspec.structs.replace(bundle, **changes)
    (target / ABOUT).write_bytes(seal(changed, {name: target / name for name in PARTS}))
    return target
