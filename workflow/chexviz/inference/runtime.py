"""The model of a bundle, run by ONNX Runtime: probabilities, and Grad-CAM maps in closed form."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from scipy.special import expit

# ONNX Runtime 1.32 tells its maker what it runs on, and keeps an id of the machine: it reads this
# when it is imported, and its function to the same end comes too late.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

from chexviz.base.tables.models import MEAN
from chexviz.inference.bundle import GRAPH, Bundle, Head, read_part

# Of the graph: uint8 (n, S, S) to the logits (n, K), the last maps (n, C, h, w) of the
# representation block and the gradients (n, K, C) of each logit with respect to their means.
IMAGES, LOGITS, MAPS, GRADIENTS = "images", "logits", "maps", "gradients"
ERRORS_ALONE = 3  # of what ONNX Runtime logs
BATCH = 16  # images at once: more take as long, and more memory


class Seen(NamedTuple):
    """What the model says of n images.

    scores: the probability (n,) by every head of every finding, and their mean where several know
    it. maps: Grad-CAM (n, h, w), not negative, of each finding by the model's answer; none if they
    were not asked for.
    """

    scores: dict[Head, np.ndarray]
    maps: dict[str, np.ndarray]


class Runtime:
    """The model of a bundle. graph: its ONNX. threads: None: as many as there are cores."""

    def __init__(self, graph: bytes, bundle: Bundle, threads: int | None = None):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        options.log_severity_level = ERRORS_ALONE
        # Threads that wait for the next operator would take the cores of those who read files: a
        # folder takes a sixth less time when they sleep.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.bundle = bundle
        self.session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )

    @classmethod
    def of(cls, folder: Path, bundle: Bundle) -> Self:
        """The model of an opened bundle. Raises InputError if its folder has another graph."""
        return cls(read_part(folder, bundle, GRAPH), bundle)

    def run(self, images: np.ndarray, *, mapped: bool = False) -> Seen:
        """Score images uint8 (n, S, S), BATCH at a time. mapped: whether maps are made."""
        parts = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        seen = [self.run_batch(part, mapped) for part in parts]
        return Seen(
            joined(one.scores for one in seen),
            joined(one.maps for one in seen),
        )

    def run_batch(self, images: np.ndarray, mapped: bool) -> Seen:
        """The same of images that fit into one batch."""
        wanted = [LOGITS, *((MAPS, GRADIENTS) if mapped else ())]
        logits, *rest = self.session.run(wanted, {IMAGES: images})
        scores = probabilities(logits, self.bundle)
        return Seen(scores, gradcam(rest[0], rest[1], self.bundle) if mapped else {})


def joined(parts: Iterable[dict]) -> dict:
    """What was computed batch by batch, for all images."""
    whole: dict = {}
    for part in parts:
        for key, values in part.items():
            whole.setdefault(key, []).append(values)
    return {key: np.concatenate(values) for key, values in whole.items()}


def probabilities(logits: np.ndarray, bundle: Bundle) -> dict[Head, np.ndarray]:
    """Logits (n, K) as Seen.scores."""
    values = expit(logits.astype(np.float64))
    scores = dict(zip(bundle.outputs, values.T, strict=True))
    for finding in bundle.findings:
        if finding.answer == MEAN:
            scores[finding.name, MEAN] = np.mean(
                [scores[finding.name, head] for head in finding.heads], axis=0
            )
    return scores


def gradcam(maps: np.ndarray, gradients: np.ndarray, bundle: Bundle) -> dict[str, np.ndarray]:
    """Grad-CAM (Selvaraju et al. 2017) of each finding's answer, as models.gradcam has it.

    maps: (n, C, h, w). gradients: (n, K, C) of the logits with respect to the means of the maps.
    Of the mean of several heads it is that of their mean logit.
    """
    area = maps.shape[2] * maps.shape[3]
    found = {}
    for finding in bundle.findings:
        heads = finding.heads if finding.answer == MEAN else [finding.answer]
        chosen = [bundle.outputs.index((finding.name, head)) for head in heads]
        importance = gradients[:, chosen].mean(axis=1) / area
        weighted = np.einsum("nc,nchw->nhw", importance, maps, optimize=True)
        found[finding.name] = np.maximum(weighted, 0)
    return found
