"""A table of text cells, in groups, as Markdown, as LaTeX and as JSON."""

import re
from typing import NamedTuple

LINES = 45  # rows of a LaTeX table on a page, at most; one group may have more
TEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": "$<$", ">": "$>$", "±": r"$\pm$", "−": "$-$", "–": "--", "ü": r"\"u"},
    **{"ε": r"$\varepsilon$", "δ": r"$\delta$"},
}


class Layout(NamedTuple):
    """head: a title for each column. groups: title and rows of cells, in the order they are shown.

    A cell may have a second line ('0.85 inside\\n0.842 (0.831–0.853)'), which is set smaller.
    group_head: of the column that Markdown has the groups in. variables: titles that LaTeX sets as
    mathematics. size: of the letters in LaTeX.
    """

    head: list[str]
    groups: dict[str, list[list[str]]]
    caption: str
    note: str
    group_head: str = ""
    variables: tuple[str, ...] = ()
    size: str = "footnotesize"


def to_json(layout: Layout) -> dict:
    """What the paper's template shows of a table."""
    groups = [{"title": title, "rows": rows} for title, rows in layout.groups.items()]
    return {"head": layout.head, "groups": groups, "note": layout.note}


def to_markdown(layout: Layout, mark: str) -> str:
    """A GitHub table; a group is named on its first row."""
    lines = [f"**{escape_markdown(mark)}**", ""] if mark else []
    head = [layout.group_head, *map(escape_markdown, layout.head)]
    lines += ["| " + " | ".join(head) + " |", "|:--|:--|" + "--:|" * (len(layout.head) - 1)]
    for title, rows in layout.groups.items():
        for position, row in enumerate(rows):
            parts = [part.replace("|", r"\|").replace("\n", "<br>") for part in row]
            group = "" if position else escape_markdown(title)
            lines.append("| " + " | ".join([group, *parts]) + " |")
    return "\n".join([*lines, "", escape_markdown(layout.note), ""])


def to_tex(layout: Layout, mark: str) -> str:
    """A booktabs tabular inside table*, to be read by \\input; needs \\usepackage{booktabs}.

    What does not fit on a page continues in further ones.
    """
    first, *others = parts(layout.groups)
    continued = layout._replace(caption=f"{layout.caption} (continued)")
    tables = [layout._replace(groups=first), *(continued._replace(groups=one) for one in others)]
    return "\n".join(table_tex(one, mark) for one in tables)


def parts(groups: dict[str, list[list[str]]]) -> list[dict[str, list[list[str]]]]:
    """The groups, some a page, in order; at least one part."""
    pages: list[dict[str, list[list[str]]]] = [{}]
    for title, rows in groups.items():
        if pages[-1] and sum(map(len, pages[-1].values())) + len(rows) > LINES:
            pages.append({})
        pages[-1][title] = rows
    return pages


def table_tex(layout: Layout, mark: str) -> str:
    """What fits on a page."""
    head = [
        f"${title}$" if title in layout.variables else escape_tex(title) for title in layout.head
    ]
    lines = [
        r"\begin{table*}",
        r"\centering",
        rf"\{layout.size}",
        rf"\caption{{{escape_tex(layout.caption)}}}",
        *([rf"\textbf{{{escape_tex(mark)}}}\par\smallskip"] if mark else []),
        r"\begin{tabular}{l" + "r" * (len(layout.head) - 1) + "}",
        r"\toprule",
        " & ".join(head) + r" \\",
    ]
    for title, rows in layout.groups.items():
        spanned = rf"\multicolumn{{{len(layout.head)}}}{{l}}{{\textit{{{escape_tex(title)}}}}} \\"
        lines += [r"\midrule", spanned]
        for row in rows:
            above, _, below = zip(*(part.partition("\n") for part in row), strict=True)
            lines.append(" & ".join(map(escape_tex, above)) + r" \\")
            if any(below):
                small = [rf"\scriptsize {escape_tex(text)}" if text else "" for text in below]
                lines.append(" & ".join(small) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\par\smallskip"]
    lines += [rf"\footnotesize {escape_tex(layout.note)}", r"\end{table*}"]
    return "\n".join(lines) + "\n"


def escape_tex(text: str) -> str:
    """`text` with every character that TeX would read as a command written out."""
    return "".join(TEX.get(character, character) for character in text)


def escape_markdown(text: str) -> str:
    """`text` with every character that GitHub's Markdown would read as markup written out."""
    return re.sub(r"[\\`*_\[\]<>|~$&#]", r"\\\g<0>", text)
