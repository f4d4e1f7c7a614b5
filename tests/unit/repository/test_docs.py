"""What is written for readers."""

import re

import pytest


@pytest.fixture(scope="module")
def pages(repository):
    """The Markdown files of the repository."""
    patterns = ["*.md", "docs/*.md", "config/**/*.md", "results/README.md", "bench/**/*.md"]
    return [path for pattern in patterns for path in repository.glob(pattern)]


def test_links_within_the_repository_lead_somewhere(pages, repository):
    assert len(pages) > 15
    for page in pages:
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            if not re.match(r"[a-z]+:", link):
                assert (page.parent / link).exists(), f"{page}: {link}"
