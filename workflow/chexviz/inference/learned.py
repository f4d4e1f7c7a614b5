"""What validation images teach of a finding's score: operating points and a temperature."""

from collections.abc import Mapping

import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.sites import Site
from chexviz.evaluation.calibrate import Settings, counts, why_not_chosen
from chexviz.evaluation.calibration_measures import fit_temperature
from chexviz.evaluation.metrics import youden_threshold
from chexviz.evaluation.operating_points import sensitivity_threshold
from chexviz.evaluation.predictions import PREDICTED, Heads, elsewhere, read_heads
from chexviz.inference.bundle import Finding, Head, Learned, Point, answer_of

YOUDEN = "youden"


def learn(
    predictions: str, outputs: list[Head], sites: Mapping[str, Site], settings: Settings
) -> list[Finding]:
    """The findings of a model, in the order of its outputs, with what their scores have taught.

    predictions: the table of the model's scores. outputs: finding and head of each of its logits.
    The images are those of the sites that learn a finding; as at an external site, whose images no
    threshold is chosen on either.
    """
    (heads,) = read_heads([["model", "method", "0", predictions]], sites).values()
    known: dict[str, list[str]] = {}
    for finding, head in outputs:
        known.setdefault(finding, []).append(head)
    return [
        Finding(
            name=name, heads=own, learned=learned(validation(name, own, heads, sites), settings)
        )
        for name, own in known.items()
    ]


def validation(
    finding: str, known: list[str], heads: Heads, sites: Mapping[str, Site]
) -> pd.DataFrame:
    """The rows of the validation images by the model's answer, of all sites that learn a finding.

    None where the protocol has no such images. known: the heads that know the finding.
    """
    head = answer_of(known)
    said = (one[head] for (_, name), one in heads.items() if name == finding and head in one)
    model = next(said, None)
    if model is None:
        raise InputError(
            "--predictions",
            expected=f"scores of {finding} by the head {head}",
            found="none",
            fix="give the predictions of the same model",
        )
    rows = elsewhere(model, heads, sites)
    return rows[rows["subset"] == PREDICTED[0]].reset_index(drop=True)


def learned(rows: pd.DataFrame, settings: Settings) -> Learned:
    """What these validation images teach; with too few of them Youden's threshold alone.

    Of one class they teach nothing. rows: see predictions.SAID.
    """
    labels, scores = rows["label"].to_numpy(), rows["score"].to_numpy()
    points, temperature, note = [], None, why_not_chosen(rows, settings)
    if 0 < labels.sum() < len(labels):
        points.append(Point(name=YOUDEN, threshold=youden_threshold(labels, scores)))
    if not note:
        temperature = fit_temperature(labels, scores)
        points += [
            Point(name=named(target), threshold=sensitivity_threshold(labels, scores, target))
            for target in settings.sensitivities
        ]
    images, patients, positives = counts(rows)
    return Learned(
        points=points,
        temperature=temperature,
        images=images,
        patients=patients,
        positives=positives,
        note=note,
    )


def named(sensitivity: float) -> str:
    """The name of the operating point that finds this fraction of the positives."""
    return f"sensitivity-{sensitivity:g}"
