"""The paper's PDF: reads every number from the result files, then typesets the template."""

import json
from pathlib import Path

import msgspec
import typst

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing
from chexviz.base.settings import read
from chexviz.base.tables.table import missing
from chexviz.reporting.paper.facts import PaperSettings, collect


def typeset(template: Path, facts: dict) -> bytes:
    """The PDF. Only the fonts that Typst brings are used, and no date is written.

    Raises InputError when the template does not compile.
    """
    try:
        return typst.compile(
            str(template.resolve()),
            root="/",
            ignore_system_fonts=True,
            sys_inputs={"facts": json.dumps(facts, allow_nan=False)},
            timestamp=0,
        )
    except typst.TypstError as error:
        raise InputError(
            template, expected="a template that compiles", found=str(error), fix="mend the template"
        ) from None


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument(
        "--template", nargs="+", required=True, type=Path, help="then the files that it imports"
    )
    parser.add_argument("--bibliography", required=True, type=Path)
    parser.add_argument("--results", required=True, type=Path, help="the folder of results")
    parser.add_argument("--settings", required=True, help="JSON, see PaperSettings")
    parser.add_argument("--mark", default="", help="a text that every page shows")
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args(argv)
    for path in (*arguments.template, arguments.bibliography):
        if not path.is_file():
            raise missing(path)
    settings = msgspec.to_builtins(read(arguments.settings, PaperSettings))
    inputs = arguments.results, arguments.bibliography
    facts = collect(*inputs, settings, arguments.mark)
    pdf = typeset(arguments.template[0], facts)
    with replacing(arguments.output) as temporary:
        temporary.write_bytes(pdf)


if __name__ == "__main__":
    run(main)
