"""What unit tests of several rooms share."""

import pytest


@pytest.fixture
def drawn(monkeypatch):
    """Catch the figures that a main would save, page by page, and close them after the test."""
    from chexviz.reporting.figures import style

    figures = []
    monkeypatch.setattr(style, "save_pages", lambda pages, *rest: figures.extend(pages))
    yield figures
    for figure in figures:
        style.plt.close(figure)
