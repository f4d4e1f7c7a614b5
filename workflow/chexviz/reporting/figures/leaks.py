"""Panels of what leaks against epsilon: who is found in models, and which images come back."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from chexviz.base.tables.privacy import INVERSION, MEMBERSHIP
from chexviz.evaluation.cases import TOO_FEW
from chexviz.reporting.figures import style
from chexviz.reporting.figures.epsilon_axis import Place, draw_series, finish, shifts
from chexviz.reporting.selection import in_order
from chexviz.reporting.titles import architecture_title, model_title
from chexviz.reporting.wording import joined, listed

MODEL = ["architecture", "method"]
DRAWN = ["panel", "kind", *MODEL, "seed", "value", "low", "high", "note"]
KINDS = ("attack", "control")
UNMEASURED = "Leaks were not measured: that takes run: privacy, and the protocol patient."
APART, SPAN = 0.18, 0.7  # at most between two series at an epsilon, and of all of them


class Panel(NamedTuple):
    """A panel: its heading, the title of its axis, and what it shows at least of that axis.

    chance: what an attack that learns nothing gets.
    """

    heading: str
    title: str
    least: tuple[float, float]
    chance: float


class Leaks(NamedTuple):
    """What is drawn of attacks. points: DRAWN. rate: of false positives (0 to 1)."""

    points: pd.DataFrame
    rate: float

    @property
    def panels(self) -> dict[str, Panel]:
        """The panels by name, in order."""
        percent = f"{100 * self.rate:g}"
        found = f"Found at {percent} % false positives"
        return {
            "auroc": Panel("Membership inference", "AUROC of the attack", (0.4, 0.6), 0.5),
            "found": Panel(found, "Members (%)", (0, 5), 100 * self.rate),
            "psnr": Panel("Images reconstructed", "PSNR above control (dB)", (-0.5, 0.5), 0),
        }


def read(
    membership: Sequence[Path], inversion: Sequence[Path], table: pd.DataFrame
) -> Leaks | None:
    """What the tables of attacked models say of those of METHODS, `table`; None if of none."""
    if not membership:
        return None
    members = pd.concat(map(MEMBERSHIP.read, membership), ignore_index=True)
    images = pd.concat(map(INVERSION.read, inversion), ignore_index=True)
    shown = points(members, images).merge(table[MODEL].drop_duplicates())
    return None if shown.empty else Leaks(shown, members["fpr"].max())


def points(members: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """DRAWN: of MEMBERSHIP its AUROC and the share that is found at the largest rate, and of
    INVERSION what the update of a round gives away. Shares in percent."""
    ends = {"value_low": "low", "value_high": "high"}
    members = members.rename(columns={"comparison": "kind"} | ends)
    found = members[members["fpr"] == members["fpr"].max()]
    shares = {name: 100 * found[name] for name in ("value", "low", "high")}
    leaked = {"psnr_leak": "value", "psnr_leak_low": "low", "psnr_leak_high": "high"}
    back = images[images["scenario"] == "round"].rename(columns=leaked)
    parts = [
        members[members["measure"] == "auroc"].assign(panel="auroc"),
        found.assign(panel="found", **shares),
        back.assign(panel="psnr", kind="attack"),
    ]
    return pd.concat([part[DRAWN] for part in parts], ignore_index=True)


def draw_panel(
    axes: Axes, leaks: Leaks, name: str, methods: dict[str, Place], colours: dict[str, str]
) -> None:
    """Attack and control of every architecture that is attacked, and a line at chance.

    name: of the panel. methods: see by_epsilon. colours: of all architectures of the figure.
    """
    panel, rows = leaks.panels[name], leaks.points
    rows = rows[rows["panel"] == name]
    series = [
        (rows[(rows["architecture"] == architecture) & (rows["kind"] == kind)], colour, kind)
        for architecture, colour in colours.items()
        for kind in KINDS
    ]
    series = [one for one in series if len(one[0])]
    axes.axhline(panel.chance, color=style.LIGHT, linewidth=0.8, zorder=0)
    beside = shifts(len(series), min(APART, SPAN / max(len(series), 1)))
    for (own, colour, kind), shift in zip(series, beside, strict=True):
        draw_series(axes, own, methods, shift, colour, hollow=kind == "control")
    finish(axes, methods)
    axes.set_ylim(limits(rows, panel))
    axes.set_ylabel(panel.title)
    if rows["value"].isna().all():
        look: style.Look = {"ha": "center", "va": "center", "color": style.GREY, "fontsize": 6.5}
        axes.text(0.5, 0.5, TOO_FEW + " cases", transform=axes.transAxes, **look)


def limits(rows: pd.DataFrame, panel: Panel) -> tuple[float, float]:
    """Where the axis of a panel begins and ends: all points and bars are between."""
    values = np.append(rows[["value", "low", "high"]].to_numpy(float), panel.least)
    low, high = np.nanmin(values), np.nanmax(values)
    margin = 0.06 * (high - low)
    return low - margin, high + margin


# --- what the note says --------------------------------------------------------------------------


def note_of(leaks: Leaks | None, table: pd.DataFrame) -> str:
    """What the panels show, and what they lack. table: METHODS, of the models of the figure."""
    if leaks is None:
        return UNMEASURED
    seed = f" of seed {leaks.points['seed'].iloc[0]}" if table["seeds"].max() > 1 else ""
    shown = (
        f"Below, leaks{seed} with 95 % intervals: filled, the attack; open, its control, the same "
        "patients in models that all of them trained."
    )
    return joined([shown, unattacked(leaks, table), untold(leaks)])


def lacks_bars(leaks: Leaks | None) -> bool:
    """Whether a point has no interval."""
    if leaks is None:
        return False
    return bool((leaks.points["value"].notna() & leaks.points["low"].isna()).any())


def unattacked(leaks: Leaks, table: pd.DataFrame) -> str:
    """Of which models of the figure no leak was measured; '' if of all it was."""
    attacked = {*leaks.points[MODEL].itertuples(index=False, name=None)}
    lacking = []
    for architecture in in_order(table["architecture"]):
        methods = in_order(table.loc[table["architecture"] == architecture, "method"])
        without = [method for method in methods if (architecture, method) not in attacked]
        if without == methods:
            lacking.append(architecture_title(architecture))
        else:
            lacking += [model_title(architecture, method) for method in without]
    if not lacking:
        return ""
    return f"Leaks of {listed(lacking)} were not measured."


def untold(leaks: Leaks) -> str:
    """Which panels lack points, and why; '' if none does."""
    lacking = leaks.points[leaks.points["value"].isna()]
    why = lacking["note"].str.removeprefix(f"{TOO_FEW} cases: ")
    return joined(
        f"No point in “{leaks.panels[str(name)].heading}”: {listed(reasons.unique())}."
        for name, reasons in why.groupby(lacking["panel"], sort=False)
    )
