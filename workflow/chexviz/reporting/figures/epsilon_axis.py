"""The axis of epsilon: where methods stand on it, and what is drawn above them."""

import math
from collections import Counter
from string import ascii_lowercase
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from chexviz.reporting.figures import style

WITHOUT = "∞"  # of a method that trains without privacy
SITE = "site"  # marks an epsilon that is of a site as a whole


class Place(NamedTuple):
    """How a method is called on the axis, and whose epsilon it is: patient, site, '' without."""

    text: str
    unit: str


def by_epsilon(table: pd.DataFrame) -> dict[str, Place]:
    """The methods with their places: those for patients, for sites, and without privacy.

    In each of them from the least epsilon to the largest. Methods of one epsilon have letters.
    """
    epsilon = table.groupby("method", sort=False)["epsilon"].max().fillna(math.inf)
    unit = table.groupby("method", sort=False)["unit"].first().fillna("")
    order = pd.DataFrame({"last": unit.eq(""), "unit": unit, "epsilon": epsilon})
    order = order.sort_values([*order.columns], kind="stable")
    marks = {"site": f" {SITE}"}
    texts = [
        epsilon_text(value) + marks.get(of, "")
        for of, value in zip(order["unit"], order["epsilon"], strict=True)
    ]
    found = zip(map(str, order.index), lettered(texts), order["unit"], strict=True)
    return {method: Place(text, of) for method, text, of in found}


def lettered(texts: list[str]) -> list[str]:
    """Texts of which those that are there more than once are told apart: '8 (a)', '8 (b)'."""
    several = {text for text, count in Counter(texts).items() if count > 1}
    letters = {text: iter(ascii_lowercase) for text in several}
    return [f"{text} ({next(letters[text])})" if text in several else text for text in texts]


def epsilon_text(value: float) -> str:
    """An epsilon with two digits, rounded up, as it is an upper bound: '1', '0.5'; '∞'."""
    if math.isinf(value):
        return WITHOUT
    scale = 10 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(round(value / scale, 6)) * scale:.2g}"


def finish(axes: Axes, methods: dict[str, Place]) -> None:
    """Ticks, limits and title of the axis. methods: see by_epsilon."""
    texts = [place.text.replace(" ", "\n") for place in methods.values()]  # narrow panels
    axes.set_xticks(range(len(methods)), texts)
    axes.set_xlim(-0.5, len(methods) - 0.5)
    axes.set_xlabel("ε" if of_sites(methods) else "ε of a patient")


def of_sites(methods: dict[str, Place]) -> bool:
    """Whether an epsilon is of sites as a whole."""
    return any(place.unit == "site" for place in methods.values())


def shifts(count: int, apart: float) -> np.ndarray:
    """How far each of some series stands beside an epsilon (count,). apart: between neighbours."""
    return apart * (np.arange(count) - (count - 1) / 2)


def draw_series(
    axes: Axes,
    rows: pd.DataFrame,
    methods: dict[str, Place],
    shift: float,
    colour: str,
    *,
    hollow: bool = False,
    label: str = "",
) -> None:
    """Points with their bars; filled ones of finite epsilons of the same are joined.

    rows: method, value, low and high of one architecture; without an end there is no bar. methods:
    see by_epsilon; of those that have no row nothing is drawn.
    """
    rows = rows.set_index("method").reindex([*methods])
    places = np.arange(len(rows)) + shift
    look: style.Look = {"color": colour, "linewidth": 0.9}
    axes.vlines(places, rows["low"], rows["high"], **look)
    for unit in () if hollow else ("patient", "site"):
        joined = np.array([place.unit == unit for place in methods.values()])
        axes.plot(places[joined], rows["value"][joined], **look)
    dots: style.Look = {"marker": "o", "markersize": 3.5, "linestyle": "none"}
    dots |= {"markerfacecolor": "white" if hollow else colour, "markeredgewidth": 0.9, "zorder": 3}
    axes.plot(places, rows["value"], color=colour, label=label or None, **dots)
