"""Make one page of all results of a run that has ended, with parameters, code and run times.

Snakemake's report offers a CSV only as a download, and of a rule it shows the command alone. Here
each table becomes a page with the CSV beside it, and each rule is followed by the source of its
entry point.
"""

import base64
import csv
import html
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from snakemake.cli import main as snakemake

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing
from chexviz.base.source_code import ENTRY, HOME, PACKAGE

STYLE = HOME / "workflow" / "report" / "report.css"

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><style>
body {{ font: 13px/1.4 system-ui, sans-serif; margin: 12px; color: #222; }}
table {{ border-collapse: collapse; }}
th {{ position: sticky; top: 0; background: #f3f3f3; text-align: left; }}
th, td {{ padding: 3px 9px; border-bottom: 1px solid #d9d9d9; white-space: nowrap; }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
tr:hover td {{ background: #eaf4fb; }}
.mark {{ background: #b3261e; color: white; font-weight: bold; padding: 4px 9px; }}
</style>{mark}<p><a href="{uri}" download="{name}">{name}</a>: {rows} rows, unrounded</p>
<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></html>"""


def data_uri(text: str, mime: str) -> str:
    """A text as an address that holds it."""
    return f"data:{mime};charset=utf8;base64,{base64.b64encode(text.encode()).decode()}"


def from_data_uri(uri: str) -> str:
    """The text that such an address holds."""
    return base64.b64decode(uri.partition("base64,")[2]).decode()


def table_page(name: str, text: str) -> str:
    """A CSV table as an HTML page: rounded, bounds beside their values, the CSV as a download.

    Columns without any value are left out; `mark`, the same in all rows, becomes a strip.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    marks = {row.pop("mark", "") for row in rows} - {""}
    used = [column for column in rows[0] if any(row[column] for row in rows)] if rows else []
    shown = [column for column in used if not is_bound(column, used)]
    lines = ["".join(cell(row, column) for column in shown) for row in rows]
    return PAGE.format(
        name=html.escape(name),
        uri=data_uri(text, "text/csv"),
        rows=len(rows),
        mark="".join(f'<p class="mark">{html.escape(mark)}</p>' for mark in sorted(marks)),
        head="".join(f"<th>{html.escape(column)}</th>" for column in shown),
        body="".join(f"<tr>{line}</tr>" for line in lines),
    )


def is_bound(column: str, columns: list[str]) -> bool:
    """Whether a column holds bounds or deviations of another one, and is shown beside it."""
    value, _, end = column.rpartition("_")
    return value in columns and end in ("low", "high", "sd")


def cell(row: dict[str, str], column: str) -> str:
    """A cell: '0.842 (0.831 to 0.853)', '0.842 ± 0.004', or what is there."""
    text = rounded(row[column])
    low, high, sd = (row.get(f"{column}_{end}") for end in ("low", "high", "sd"))
    if text and low and high:
        text += f" ({rounded(low)} to {rounded(high)})"
    elif text and sd:
        text += f" ± {rounded(sd)}"
    kind = ' class="number"' if is_number(row[column]) else ""
    return f"<td{kind}>{html.escape(text)}</td>"


def is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", text) is not None


def rounded(text: str) -> str:
    """A fraction to four significant digits; integers, names and what is missing as they are."""
    return f"{float(text):.4g}" if is_number(text) and not text.lstrip("-").isdigit() else text


def with_page(result: dict) -> dict:
    """A result of the report; a table becomes the page that shows it."""
    if result["mime_type"] != "text/csv":
        return result
    page = table_page(result["name"], from_data_uri(result["data_uri"]))
    return result | {"mime_type": "text/html", "data_uri": data_uri(page, "text/html")}


def with_source(rule: dict) -> dict:
    """A rule of the report, with the source of its entry point below its command."""
    code = "".join(rule["code"])
    match = ENTRY.search(html.unescape(re.sub("<[^>]+>", "", code)))
    if match is None:
        return rule
    source = PACKAGE.joinpath(*match[1].split(".")).with_suffix(".py").read_text(encoding="utf-8")
    # The same classes as Snakemake's own, so that its colours apply.
    formatter = HtmlFormatter(linenos=True, cssclass="source", wrapcode=True)
    return rule | {"code": code + highlight(source, PythonLexer(), formatter)}


def change(page: str, variable: str, edit: Callable[[dict], dict], path: Path) -> str:
    """The page with every entry of one of its JSON objects edited. Raises InputError without it."""
    match = re.search(rf"var {variable} = (\{{.*\}});\n", page)
    if match is None:
        raise InputError(
            path,
            expected=f"a report of Snakemake, which holds 'var {variable} = {{...}};'",
            found="none",
            fix="make the report again (`make report`) with the Snakemake of the lock",
        )
    entries = {key: edit(value) for key, value in json.loads(match[1]).items()}
    return page[: match.start(1)] + json.dumps(entries) + page[match.end(1) :]


def closed(page: str) -> str:
    """The page with no '<' in the data of its scripts: texts of the configuration are in many.

    There '</script>' would end the script, and '<!--' would change how it is read.
    """

    def escaped(match: re.Match) -> str:
        return match[1] + match[2].replace("<", "\\u003c") + match[3]

    return re.sub(r'(<script id="[\w-]+">\s*var \w+ = )(.*)(;\n)', escaped, page)


def make(path: Path, snakefile: Path, configfiles: list[Path]) -> None:
    """Snakemake's own report. Ends with its message and status if it makes none."""
    words = ["--snakefile", snakefile, "--report-stylesheet", STYLE, "--report", path]
    words += ["--configfile", *configfiles] * bool(configfiles)
    try:
        snakemake([str(word) for word in words])
    except SystemExit as end:
        if end.code:
            raise


def complete(path: Path) -> None:
    """Turn Snakemake's report into ours. Raises InputError if the file is none."""
    page = path.read_text(encoding="utf-8")
    page = change(page, "results", with_page, path)
    page = closed(change(page, "rules", with_source, path))
    page = page.replace("<title>Snakemake Report</title>", "<title>CheXViz</title>")
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("report", type=Path, metavar="REPORT.html", help="the page to write")
    parser.add_argument("--snakefile", type=Path, default=HOME / "Snakefile")
    parser.add_argument("--configfile", type=Path, nargs="*", default=[], help="as of the run")
    arguments = parser.parse_args(argv)
    make(arguments.report, arguments.snakefile, arguments.configfile)
    complete(arguments.report)


if __name__ == "__main__":
    run(main)
