"""A table of text cells, in groups, as Markdown and as LaTeX."""

from typing import NamedTuple

from chexviz.reporting.tables.cells import escape_markdown, escape_tex


class Layout(NamedTuple):
    """head: a title for each column. groups: title and rows of cells, in the order they are shown.

    A cell may have a second line ('0.85 inside\\n0.842 (0.831–0.853)'), which is set smaller.
    """

    head: list[str]
    groups: dict[str, list[list[str]]]
    caption: str
    note: str


def to_markdown(layout: Layout, mark: str) -> str:
    """A GitHub table; a group is named on its first row."""
    lines = [f"**{escape_markdown(mark)}**", ""] if mark else []
    lines += ["| " + " | ".join(["", *layout.head]) + " |"]
    lines += ["|:--|:--|" + "--:|" * (len(layout.head) - 1)]
    for title, rows in layout.groups.items():
        for position, row in enumerate(rows):
            parts = [part.replace("|", r"\|").replace("\n", "<br>") for part in row]
            group = "" if position else escape_markdown(title)
            lines.append("| " + " | ".join([group, *parts]) + " |")
    return "\n".join([*lines, "", escape_markdown(layout.note), ""])


def to_tex(layout: Layout, mark: str) -> str:
    """A booktabs tabular inside table*, to be read by \\input; needs \\usepackage{booktabs}."""
    lines = [
        r"\begin{table*}",
        r"\centering",
        r"\footnotesize",
        rf"\caption{{{escape_tex(layout.caption)}}}",
        *([rf"\textbf{{{escape_tex(mark)}}}\par\smallskip"] if mark else []),
        r"\begin{tabular}{l" + "r" * (len(layout.head) - 1) + "}",
        r"\toprule",
        " & ".join(map(escape_tex, layout.head)) + r" \\",
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
