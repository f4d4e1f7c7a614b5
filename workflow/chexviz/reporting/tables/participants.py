"""Which images a study has and who is on them: flow figure and characteristics."""

from pathlib import Path

import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.options import finite_json
from chexviz.reporting.figures import flow as figure_flow
from chexviz.reporting.figures import style
from chexviz.reporting.tables import characteristics, flow, sources
from chexviz.reporting.tables.cells import to_csv, write
from chexviz.reporting.tables.typesetting import to_markdown, to_tex
from chexviz.reporting.titles import full_titles, read_table

SAMPLES = ["image", "patient", "patient_known", "label", "view", "sex", "age"]


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument(
        "--site",
        action="append",
        nargs=6,
        required=True,
        metavar=("SITE", "TASK", "SAMPLES", "REJECTED", "MANIFEST", "FETCHED"),
    )
    parser.add_argument(
        "--split", action="append", nargs=2, required=True, metavar=("PROTOCOL", "SPLIT")
    )
    parser.add_argument("--settings", required=True, type=finite_json)
    parser.add_argument("--mark", default="", help="a text that every output shows")
    for name in ("flow", "sources", "csv", "tex", "md", "pdf", "png"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    arguments = parser.parse_args(argv)
    titles = full_titles(arguments.settings["sites"])
    splits = {
        protocol: read_table(path, ["site", "image", "subset"])
        for protocol, path in arguments.split
    }
    steps, rows, files = [], [], []
    for site, _, samples, rejected, manifest, fetched in arguments.site:
        images = read_table(samples, SAMPLES).astype({"patient_known": bool})
        steps.append(flow.steps(site, images, read_table(rejected, ["file", "reason"]), splits))
        rows += characteristics.describe(site, images, splits)
        files.append(sources.describe(site, manifest, fetched))
    counted = pd.concat(steps, ignore_index=True)
    table = pd.DataFrame(rows, columns=characteristics.COLUMNS)
    shown = characteristics.layout(table, titles)
    write(
        {
            arguments.flow: to_csv(counted, arguments.mark),
            arguments.sources: to_csv(pd.DataFrame(files), arguments.mark),
            arguments.csv: to_csv(table, arguments.mark),
            arguments.tex: to_tex(shown, arguments.mark),
            arguments.md: to_markdown(shown, arguments.mark),
        }
    )
    style.save(figure_flow.draw(counted, titles), arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
