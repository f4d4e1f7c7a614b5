"""What tests look for in a figure."""

import matplotlib
from matplotlib.figure import Figure


def texts(figure: Figure) -> list[str]:
    """All texts of a figure that are not empty."""
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def require_on_page(figure: Figure) -> None:
    """All text of a figure lies on its page and can be read."""
    figure.canvas.draw()
    for text in figure.findobj(matplotlib.text.Text):
        if text.get_text().strip() and text.get_visible():
            box = text.get_window_extent()
            assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
            assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
            assert text.get_fontsize() >= 4.5
