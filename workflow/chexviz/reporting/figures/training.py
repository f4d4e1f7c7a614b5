"""Learning curves: the training loss of every method at every site, round by round."""

import pandas as pd
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
    draw_grid,
    write_note,
)
from chexviz.reporting.histories import add_histories
from chexviz.reporting.titles import add_titles
from chexviz.reporting.wording import joined

FIGURE = {
    "name": "training",
    "caption": (
        "*Learning curves*, #protocol.title: mean training loss of each site in each round (an "
        "epoch, for baselines)."
    ),
    "alt": "Training loss of every method and site by round",
    "limit": 215,
    "of": "sites",
    "per_page": 4,
    "category": "Training",
    "shows": "learning curves",
    "report": (
        "Learning curves under the protocol ``{protocol}``: mean training loss of each site in "
        "each round, a line for each method, on a logarithmic scale. With several seeds the line "
        "is their mean and the band reaches from the lowest to the highest. A baseline is a "
        "federation of one site, so its rounds are epochs. Losses of methods that add a term to "
        "the loss, or train its parts in turn, are comparable in course rather than in height."
    ),
}
POOLED = "Pooled: the mean loss over all sites' images, the same in each panel of an architecture."
PRIVATE = "Methods with privacy are not shown: no loss is told of them."


def draw(histories: pd.DataFrame, sites: list[dict]) -> Figure:
    """A page of learning curves: a row a site, a column an architecture, a line a method.

    histories: see read_histories. sites: of the page, see titles.
    """
    height = TOP + len(sites) * ROW + (len(sites) - 1) * BETWEEN_ROWS + BOTTOM
    figure = style.new_figure(style.DOUBLE_COLUMN, height)
    draw_grid(figure, histories, sites, "loss", "Training loss", TOP)
    pooled = POOLED if (histories["method"] == "pooled").any() else ""
    private = PRIVATE if histories["epsilon"].notna().any() else ""
    write_note(figure, joined([pooled, private]), histories)
    return figure


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
