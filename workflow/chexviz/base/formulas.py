"""Texts in a CSV that a spreadsheet would compute, made plain."""

import re

FORMULA, NUMBER = re.compile(r"'*[=+\-@\t\r]"), re.compile(r"[+-]?\d+([.,]\d+)?")


def no_formula(value: object) -> object:
    """A value that no spreadsheet computes: an apostrophe before a text that begins as a formula.

    One more before a text with apostrophes that look like ours, so that two names stay two.
    """
    formula = isinstance(value, str) and FORMULA.match(value) and not NUMBER.fullmatch(value)
    return f"'{value}" if formula else value
