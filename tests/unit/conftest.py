"""What unit tests of several rooms share."""

import pytest


@pytest.fixture
def drawn(monkeypatch):
    """Catch the figures that a main would save, and close them after the test."""
    from chexviz.reporting.figures import style

    figures = []
    monkeypatch.setattr(style, "save", lambda figure, *rest: figures.append(figure))
    yield figures
    for figure in figures:
        style.plt.close(figure)
