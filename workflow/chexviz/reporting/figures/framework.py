"""Figure 1: the CheXViz framework. What each site keeps, what it sends, and the global model."""

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.reporting.figures import style
from chexviz.reporting.figures.shapes import (
    arrow,
    box,
    fitted,
    radiograph,
    representation,
    step,
    task_block,
)
from chexviz.reporting.titles import add_titles, finding_title
from chexviz.reporting.wording import capitalised

FIGURE = {
    "name": "figure1",
    "by_protocol": False,
    "caption": (
        "*The CheXViz framework.* *a*, in each round every site trains on its own images (1), "
        "sends its representation block to the server (2), which averages them (3) and returns the "
        "average (4). "
        '#if settings.methods.first().heads == "shared" ['
        "Images and labels never leave the site; the head of a finding is averaged as well, over "
        "the sites that label it. *b*, the averaged representation with a head for each finding is "
        "one model.] else ["
        "Images, labels and task blocks never leave the site. *b*, the averaged "
        "representation with the task blocks of all sites is one model for every task.]"
        '#if settings.sites.any(site => site.role == "external") ['
        " External sites train nothing: their images only evaluate it.]"
    ),
    "alt": "Sites send representation blocks to a server, which averages them",
    "category": "Paper",
    "shows": "Figure 1, framework",
    "report": (
        "The CheXViz framework for the sites of this run. In each round every site trains on its "
        "own images and sends its representation block to the server, which averages the blocks "
        "and returns the mean. Images, labels and task blocks stay at the sites; with shared heads "
        "the head of a finding is averaged as well. The global model is the averaged "
        "representation with all heads. Images of external sites, if any, only evaluate it."
    ),
}
# All lengths are mm on the printed page; y grows upwards.
HEIGHT = 97.0
FEDERATION = 119.0  # width of panel a
GLOBAL = 123.0  # left edge of panel b
GLOBAL_WIDTH = 56.0
CARD_BOTTOM, CARD_TOP = 15.0, 58.0
SERVER_BOTTOM, SERVER_TOP = 71.0, 90.0
GAP = 3.0
# What a round's numbered steps are, and where the key has them: mm from the left edge.
STEPS = {
    "train locally": 2.8,
    "send representation": 29.0,
    "average": 64.0,
    "return the average": 87.0,
}
STEPS_LINE, BLOCKS_LINE = 9.2, 3.5  # heights of the key's two lines
TASK_BLOCK = {
    "private": "task block, never averaged",
    "shared": "task block, averaged by finding",
}
SMALLEST = 5.5  # points, of the names of findings
BLOCK_NAME = 18.5  # mm that a task block's name may have in panel b
DRAWN = 6  # sites or findings one by one; of more, the rest together
LISTED = 3  # external sites, likewise
EXTERNAL_TOP = CARD_BOTTOM + 21.0


class Card(NamedTuple):
    """A site: its title, what it labels, and its colour."""

    title: str
    findings: list[str]
    colour: str = style.GREY

    def told(self, width: float) -> str:
        """What it labels: 'pneumonia, edema', or '14 findings' where that is wider than `width`."""
        names = ", ".join(map(finding_title, self.findings))
        wide = TextPath((0, 0), names, size=SMALLEST).get_extents().width * 25.4 / 72 > width
        return f"{len(self.findings)} findings" if wide and len(self.findings) > 1 else names


def draw(sites: list[dict], heads: str = "private") -> Figure:
    """The figure for these sites, see titles. heads: of the method, private or shared."""
    training, external = (
        [Card(site["title"], site["findings"]) for site in sites if site["role"] == role]
        for role in ("train", "external")
    )
    cards = [
        card._replace(colour=style.accent(place)) for place, card in enumerate(limited(training))
    ]
    figure = style.new_figure(style.DOUBLE_COLUMN, HEIGHT)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, style.DOUBLE_COLUMN), ylim=(0, HEIGHT))
    axes.axis("off")
    draw_federation(axes, cards)
    blocks = shared_blocks(training) if heads == "shared" else private_blocks(cards)
    draw_global_model(axes, blocks, EXTERNAL_TOP + 5 if external else CARD_BOTTOM)
    if external:
        draw_external(axes, limited(external, LISTED))
    draw_key(axes, heads)
    return figure


def limited(cards: list[Card], most: int = DRAWN) -> list[Card]:
    """At most `most` cards, of which the last stands for all the rest."""
    if len(cards) <= most:
        return cards
    shown, rest = cards[: most - 1], cards[most - 1 :]
    findings = dict.fromkeys(finding for card in rest for finding in card.findings)
    return [*shown, Card(f"{len(rest)} more sites", [*findings])]


def private_blocks(cards: list[Card]) -> list[tuple[str, str]]:
    """What each task block answers, one of each site, and its colour."""
    return [(card.told(BLOCK_NAME), card.colour) for card in cards]


def shared_blocks(training: list[Card]) -> list[tuple[str, str]]:
    """The same of blocks that all sites share: one of each finding."""
    learned = dict.fromkeys(finding for card in training for finding in card.findings)
    names = [finding_title(finding) for finding in learned]
    if len(names) > DRAWN:
        names[DRAWN - 1 :] = [f"{len(names) - DRAWN + 1} more findings"]
    return [(name, style.GREY) for name in names]


def draw_federation(axes: Axes, sites: list[Card]) -> None:
    """Panel a: one round. Sites below, the server above, arrows between them."""
    heading(axes, 1, "a", "One federated round")
    draw_server(axes, sites)
    width = (FEDERATION - 2 - GAP * (len(sites) - 1)) / len(sites)
    between = (CARD_TOP + SERVER_BOTTOM) / 2
    low, high = CARD_TOP + 0.8, SERVER_BOTTOM - 0.8
    for position, site in enumerate(sites):
        x = 1 + position * (width + GAP)
        colour = site.colour
        draw_site(axes, x, width, site)
        centre, reach = x + width / 2, min(4.5, width / 5)
        arrow(axes, (centre - reach, low), (centre - reach, high), colour)
        arrow(axes, (centre + reach, high), (centre + reach, low), style.GREY)
        step(axes, centre - reach - 3.0, between, "2", colour)
        step(axes, centre + reach + 3.0, between, "4", style.GREY)


def draw_server(axes: Axes, sites: list[Card]) -> None:
    """The server: the sites' representation blocks, their mean."""
    box(axes, 1, SERVER_BOTTOM, FEDERATION - 2, SERVER_TOP - SERVER_BOTTOM, "#F4F4F4", "#BDBDBD")
    middle = (SERVER_BOTTOM + SERVER_TOP) / 2
    axes.text(5, middle + 1.9, "Server", fontsize=8, fontweight="bold", va="center_baseline")
    axes.text(5, middle - 2.3, "sees weights only", va="center_baseline", color=style.GREY)
    pitch = min(12.5, 46.0 / len(sites))
    block = pitch - 3.3
    used = len(sites) * pitch + 40  # the blocks, the arrow, the average and its name
    start = 28 + (FEDERATION - 30 - used) / 2
    for position in range(len(sites)):
        x = start + position * pitch
        representation(axes, x, middle - 4.5, block, 9, style.accent(position))
        if position + 1 < len(sites):
            axes.text(
                x + (block + pitch) / 2, middle, "+", ha="center", va="center_baseline", fontsize=8
            )
    end = start + len(sites) * pitch - 3.3
    arrow(axes, (end + 2, middle), (end + 10, middle), style.INK)
    step(axes, end + 5.6, middle + 3.8, "3", style.INK)
    representation(axes, end + 12, middle - 4.5, 9.2, 9, style.GREY)
    axes.text(end + 22.5, middle, "averaged\nrepresentation", va="center", linespacing=1.25)


def draw_site(axes: Axes, x: float, width: float, site: Card) -> None:
    """A site's card: its images, which stay, its representation block and its own task block."""
    colour = site.colour
    box(axes, x, CARD_BOTTOM, width, CARD_TOP - CARD_BOTTOM, style.tint(colour, 0.08), colour)
    centre = x + width / 2
    top = CARD_TOP - 4.2
    fitted(axes, centre, top, site.title, width - 3, weight="bold", size=8, colour=colour)
    fitted(axes, centre, top - 4.0, capitalised(site.told(width - 3)), width - 3)
    body, middle = min(width - 4, 30.0), CARD_BOTTOM + 26.5
    left = centre - body / 2
    representation(axes, left, middle - 5, body * 0.56, 10, colour)
    task_block(axes, left + body * 0.68, middle - 4.5, body * 0.32, 9, colour)
    ends = [left + body * 0.56 - 0.5, left + body * 0.68 - 0.4]
    axes.plot(ends, [middle, middle], color=style.INK, lw=0.7)
    arrow(axes, (centre, CARD_BOTTOM + 16.4), (centre, CARD_BOTTOM + 20.4), style.INK, head=4)
    step(axes, centre - 3.4, CARD_BOTTOM + 18.4, "1", style.INK)
    for offset in (0.9, 0.0, -0.9):
        radiograph(axes, centre - 4.25 + offset, CARD_BOTTOM + 6.4 + offset, 8.5)
    fitted(axes, centre, CARD_BOTTOM + 3.0, "private images", width - 3, colour=style.GREY)


def draw_global_model(axes: Axes, blocks: list[tuple[str, str]], bottom: float) -> None:
    """Panel b, above `bottom` mm: the averaged representation with all task blocks.

    blocks: what each answers, and its colour.
    """
    heading(axes, GLOBAL, "b", "Global model")
    box(axes, GLOBAL, bottom, GLOBAL_WIDTH, SERVER_TOP - bottom, "#F4F4F4", "#BDBDBD")
    middle = (bottom + SERVER_TOP) / 2
    radiograph(axes, GLOBAL + 2.5, middle - 4.25, 8.5)
    arrow(axes, (GLOBAL + 11.5, middle), (GLOBAL + 14.0, middle), style.INK, head=4)
    representation(axes, GLOBAL + 14.6, middle - 6, 9.4, 12, style.GREY)
    pitch = min(22.0, (SERVER_TOP - bottom - 11) / len(blocks))
    block, bus = min(9.0, pitch * 0.7), GLOBAL + 25.2
    centres = [middle + ((len(blocks) - 1) / 2 - index) * pitch for index in range(len(blocks))]
    axes.plot([GLOBAL + 23.5, bus], [middle, middle], color=style.INK, lw=0.8)
    axes.plot([bus, bus], [centres[0], centres[-1]], color=style.INK, lw=0.8)
    for (name, colour), y in zip(blocks, centres, strict=True):
        arrow(axes, (bus, y), (bus + 3.0, y), style.INK, head=4)
        task_block(axes, bus + 3.6, y - block / 2, 6.5, block, colour)
        fitted(axes, bus + 11.3, y, capitalised(name), BLOCK_NAME, align="left")


def draw_external(axes: Axes, sites: list[Card]) -> None:
    """The sites that train nothing, below panel b, whose model their images evaluate."""
    box(axes, GLOBAL, CARD_BOTTOM, GLOBAL_WIDTH, EXTERNAL_TOP - CARD_BOTTOM, "white", style.GREY)
    middle = (CARD_BOTTOM + EXTERNAL_TOP) / 2
    radiograph(axes, GLOBAL + 2.5, middle - 4.25, 8.5)
    across = GLOBAL + 6.75
    arrow(axes, (across, EXTERNAL_TOP + 0.5), (across, EXTERNAL_TOP + 4.5), style.INK, head=4)
    x, width = GLOBAL + 14.0, GLOBAL_WIDTH - 16.0
    top = EXTERNAL_TOP - 4.2
    fitted(axes, x, top, "External, evaluation only", width, align="left", weight="bold")
    for line, site in enumerate(sites, start=1):
        text = f"{site.title}: {site.told(width / 2)}"
        fitted(axes, x, top - 4.0 * line, text, width, align="left")


def draw_key(axes: Axes, heads: str) -> None:
    """What the discs and the two kinds of block mean, below the panels."""
    for number, (text, x) in enumerate(STEPS.items(), start=1):
        step(axes, x, STEPS_LINE, str(number), style.INK)
        axes.text(x + 2.8, STEPS_LINE, text, va="center_baseline")
    high = 5.0
    low = BLOCKS_LINE - high / 2
    representation(axes, 1.0, low, 5.6, high, style.GREY)
    axes.text(8.0, BLOCKS_LINE, "representation block, shared and averaged", va="center_baseline")
    task_block(axes, 65.4, low, 4.4, high, style.GREY)
    axes.text(71.2, BLOCKS_LINE, TASK_BLOCK[heads], va="center_baseline")


def heading(axes: Axes, x: float, letter: str, text: str) -> None:
    """A panel's letter and title."""
    axes.text(x, HEIGHT - 4.2, letter, fontsize=9, fontweight="bold", va="baseline")
    axes.text(x + 4, HEIGHT - 4.2, text, fontsize=8, va="baseline")


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_titles(parser)
    parser.add_argument("--heads", choices=[*TASK_BLOCK], default="private", help="of the method")
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)
    figure = draw(arguments.titles, arguments.heads)
    style.save(figure, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
