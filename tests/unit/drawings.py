"""What tests look for in a figure."""

import matplotlib
from matplotlib.figure import Figure


def texts(figure: Figure) -> list[str]:
    """All texts of a figure that are not empty."""
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]
