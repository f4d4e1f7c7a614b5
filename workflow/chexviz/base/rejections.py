"""Why files were rejected, in kinds: names and sizes within a reason do not matter."""

import re

import pandas as pd

NAMES = r"(?<![\w/.-])(?![\w/.-]*\.csv)[\w/.-]*\d[\w/.-]*"  # but not of label tables
LOST = ("no file for image ", "but there is no such file")  # rows of a table, not files


def kinds(reasons: pd.Series) -> pd.Series:
    """The reasons with '...' for names and sizes, so that one kind of reason counts as one."""
    return reasons.str.replace(NAMES, "...", regex=True)


def are_files(reasons: pd.Series) -> pd.Series:
    """Whether each reason is of a file, and not of a row in a label table that has none."""
    lost = reasons.map(lambda reason: any(words in reason for words in LOST))
    return ~lost.astype(bool)


def spelt(reason: str) -> str:
    """A kind of reason, with a word for the file whose name it leaves out."""
    return re.sub(r"(?<= of| as) \.\.\.$", " another file", reason)
