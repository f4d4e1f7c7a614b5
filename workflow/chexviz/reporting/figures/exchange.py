"""How sites drift from their average round by round, and what they send in each."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.tables.models import read_histories
from chexviz.reporting.figures import style
from chexviz.reporting.figures.panels import pages, training_sites
from chexviz.reporting.figures.rounds import (
    BETWEEN_ROWS,
    BOTTOM,
    ROW,
    TOP,
    columns,
    draw_grid,
    write_note,
)
from chexviz.reporting.histories import add_histories, sent_per_round
from chexviz.reporting.selection import in_order
from chexviz.reporting.titles import add_titles, architecture_title, method_title
from chexviz.reporting.wording import megabytes

FIGURE = {
    "name": "exchange",
    "caption": (
        "*Drift and exchange*, #protocol.title. a, distance of each site's parameters from what "
        "the sites' updates combine to, relative to the length of that. b, megabytes that a site "
        "sends in a round."
    ),
    "alt": "Drift by round and megabytes sent",
    "limit": 215,
    "of": "sites",
    "per_page": 3,
    "category": "Training",
    "shows": "drift, bytes sent",
    "report": (
        "a, drift under the protocol ``{protocol}``: the Euclidean distance of a site's parameters "
        "from what the sites' updates combine to, relative to the length of that, in each round. "
        "b, megabytes that a site sends to the server in a round. Baselines, the pooled model and "
        "ensembles exchange nothing in rounds and are left out."
    ),
}
BAR, NAMES = 3.6, 10.0  # mm on the printed page
DRIFT = (
    "Drift: distance of a site's parameters from the average of all sites, relative to the "
    "length of the average. Methods without exchange have neither."
)
PRIVATE = "Drift is not told of methods with privacy for whole sites."


def draw(histories: pd.DataFrame, sites: list[dict]) -> Figure:
    """A page. a, drift: a row a site, a column an architecture, a line a method. b, bytes sent.

    Only methods that exchange something are shown. sites: of the page, see titles.
    """
    sent = sent_per_round(histories)
    sent = sent[sent > 0]
    exchanging = histories[histories["method"].isin(sent.index.get_level_values("method"))]
    if exchanging.empty:
        figure = style.new_figure(style.DOUBLE_COLUMN, 20)
        text = "In this run no site exchanges anything with another."
        style.text_at(figure, style.DOUBLE_COLUMN / 2, 10, text, ha="center", va="center")
        return figure
    # Colours are those of the learning curves, so positions are those among all methods.
    methods = in_order(histories["method"])
    bars = BAR * exchanging["method"].nunique()
    below = TOP + len(sites) * (ROW + BETWEEN_ROWS) + 4
    figure = style.new_figure(style.DOUBLE_COLUMN, below + bars + BOTTOM)
    drift = exchanging.assign(drift=exchanging["drift"].where(exchanging["drift"] > 0))
    draw_grid(figure, drift, sites, "drift", "Drift", TOP, methods)
    architectures = in_order(histories["architecture"])
    for architecture, (x, width) in zip(architectures, columns(len(architectures)), strict=True):
        axes = style.axes_at(figure, x + NAMES, below, width - NAMES, bars)
        draw_bars(axes, sent[architecture], methods)
        title = f"{architecture_title(architecture)}, sent by a site in a round"
        axes.set_title(title, loc="left")
    for letter, y in (("a", TOP), ("b", below)):
        style.text_at(figure, 2.5, y - 2, letter, fontsize=9, fontweight="bold")
    untold = exchanging["drift"].isna().any()
    write_note(figure, f"{DRIFT}\n{PRIVATE}" if untold else DRIFT, histories)
    return figure


def draw_bars(axes: Axes, sent: pd.Series, methods: list[str]) -> None:
    """A bar a method: megabytes that a site sends in a round. sent: bytes by method."""
    names = [method for method in methods if method in sent]
    for y, method in enumerate(names):
        colour = style.accent(methods.index(method))
        axes.barh(y, sent[method] / 1e6, height=0.7, color=colour, linewidth=0)
        end = sent[method] / 1e6
        style.write_right_of(axes, end, y, megabytes(sent[method]), fontsize=6)
    axes.set_yticks(range(len(names)), [method_title(method) for method in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, sent.max() / 1e6)
    axes.locator_params(axis="x", nbins=5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("MB")


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_histories(parser)
    add_titles(parser)
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)
    histories, sites = read_histories(arguments.history), training_sites(arguments.titles)
    figures = (draw(histories, page) for page in pages(sites, FIGURE))
    style.save_pages(figures, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
