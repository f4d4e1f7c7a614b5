"""Where a person finds what a Kaggle source has."""

PAGES = {"kaggle-competition": "c", "kaggle-dataset": "datasets"}


def page(source: str) -> str:
    """The page of 'kaggle-competition:SLUG' or 'kaggle-dataset:OWNER/NAME'."""
    kind, _, name = source.partition(":")
    return f"https://www.kaggle.com/{PAGES[kind]}/{name}"
