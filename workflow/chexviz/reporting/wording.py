"""Numbers, intervals, p values and lists as readers see them: plain text, nothing escaped."""

import math
from collections.abc import Iterable, Sequence

NUMBERS = (
    *("no", "one", "two", "three", "four", "five"),
    *("six", "seven", "eight", "nine", "ten"),
)
NAMED = 6  # things that a sentence names one by one; of more it says how many, and their range
SPACE = "\u00a0"  # within what no line may break


def in_words(count: int) -> str:
    """A count: 'no', 'one' to 'ten', then digits ('26,684')."""
    return NUMBERS[count] if count < len(NUMBERS) else f"{count:,}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun: 'one model', 'four models'. many: its plural, else with an s."""
    return f"{in_words(count)} {one if count == 1 else many or one + 's'}"


def tally(count: int, one: str, many: str | None = None) -> str:
    """A number of things in digits: '1 image', '26,684 images'."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def part_of(count: int, whole: int, one: str) -> str:
    """How many of some things: 'none of the four models', 'neither of the two models', 'one of the
    four models', 'both models', 'all four models'; of a single one 'the only model' or 'no model'.
    """
    if whole < 2:
        return f"the only {one}" if count else f"no {one}"
    if count == whole:
        return f"{'both' if whole == 2 else f'all {in_words(whole)}'} {one}s"
    some = in_words(count) if count else "neither" if whole == 2 else "none"
    return f"{some} of the {in_words(whole)} {one}s"


def listed(items: Iterable[str]) -> str:
    """'a', 'a and b', 'a, b, and c'."""
    first, *rest = items
    if not rest:
        return first
    *middle, last = rest
    return f"{', '.join([first, *middle])}{',' * bool(middle)} and {last}"


def capitalised(text: str) -> str:
    """The first letter as a capital, the rest as it is ('Pleural effusion in AP')."""
    return text[:1].upper() + text[1:]


def fixed(value: float, digits: int = 3) -> str:
    """A number with `digits` decimals and a minus sign: '−0.039'; never '−0.000'."""
    text = f"{value:.{digits}f}"
    return f"−{text[1:]}" if float(text) < 0 else text.removeprefix("-")


def attribute_title(name: str, tag: str = "") -> str:
    """What readers call an attribute and its tag: 'chest tube', 'view: AP'; of yes the first."""
    return name.replace("_", " ") + f": {tag}" * (tag not in ("", "yes"))


def percent(share: float, digits: int = 1) -> str:
    """A fraction of 1 in percent, without zeros at its end: '22.5 %', '60 %'."""
    text = fixed(100 * share, digits)
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{text}{SPACE}%"


def between(values: Sequence[float], digits: int = 3) -> str:
    """The range of some numbers: '0.021 to 0.043', or one of them if they print alike."""
    low, high = (fixed(end, digits) for end in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def percent_between(shares: Sequence[float]) -> str:
    """The range of some fractions of 1 in whole percent: '2 to 6 %'."""
    return f"{between([100 * share for share in shares], 0)}{SPACE}%"


def share(part: float, whole: float = 1, digits: int = 1) -> str:
    """A part of a whole in percent, as a table or figure has it: '22.5 %', '60.0 %'."""
    return f"{100 * part / whole:.{digits}f} %"


def interval(value: float, low: float, high: float, digits: int = 3) -> str:
    """A difference with its interval, within a sentence too: '−0.027 (−0.064 to 0.009)'."""
    return f"{fixed(value, digits)} ({fixed(low, digits)} to {fixed(high, digits)})"


def bracketed(value: float, low: float, high: float, digits: int = 3) -> str:
    """A number with its interval, as cells and figures have it: '0.842 (0.831–0.853)'.

    '0.842' where there is none, '–' without a number.
    """
    if math.isnan(value):
        return "–"
    if math.isnan(low):
        return fixed(value, digits)
    return f"{fixed(value, digits)} ({fixed(low, digits)}–{fixed(high, digits)})"


def p_text(p: float) -> str:
    """A p value as readers expect it: '<0.001', '0.004', '0.19'; '–' where there is none.

    Two decimals, but three where two would hide on which side of 0.01 or 0.05 it lies.
    """
    if math.isnan(p):
        return "–"
    if p < 0.001:
        return "<0.001"
    if p >= 0.995:
        return ">0.99"
    return f"{p:.3f}" if p < 0.01 or 0.045 <= p < 0.055 else f"{p:.2f}"


def p_phrase(p: float) -> str:
    """A p value within a sentence: 'p = 0.19', 'p < 0.001'; 'not tested' where there is none."""
    if math.isnan(p):
        return "not tested"
    text = p_text(p)
    return f"p {text[0]} {text[1:]}" if text[0] in "<>" else f"p = {text}"


def megabytes(count: float) -> str:
    """Bytes as megabytes with three digits: '28.2', '0.371'; '–' for none."""
    return f"{count / 1e6:#.3g}".rstrip(".") if count else "–"


def power(value: float) -> str:
    """A small number by its power of ten: '1e-5', '2.5e-6'."""
    digits, exponent = f"{value:e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"


def joined(sentences: Iterable[str]) -> str:
    """The sentences that say something, one after the other."""
    return " ".join(filter(None, sentences))
