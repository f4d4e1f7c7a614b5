"""Which images a study has and who is on them: flow figure and characteristics."""

from pathlib import Path

import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing_all
from chexviz.base.tables.sites import LABEL, REJECTED, SAMPLES
from chexviz.base.tables.study import FLOW, PARTICIPANTS, SOURCES, SPLIT
from chexviz.reporting.figures import flow as figure_flow
from chexviz.reporting.figures import style
from chexviz.reporting.tables import characteristics, flow, sources
from chexviz.reporting.tables.outputs import add_outputs, write, write_marked
from chexviz.reporting.titles import add_titles, place_titles


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument(
        "--site",
        action="append",
        nargs=5,
        required=True,
        metavar=("SITE", "SAMPLES", "REJECTED", "MANIFEST", "FETCHED"),
    )
    parser.add_argument(
        "--split", action="append", nargs=2, required=True, metavar=("PROTOCOL", "SPLIT")
    )
    add_titles(parser)
    for name in ("flow", "sources", "pdf", "png"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    add_outputs(parser)
    arguments = parser.parse_args(argv)
    titles = place_titles(arguments.titles)
    splits = {
        protocol: SPLIT.read(path, "site", "image", "subset") for protocol, path in arguments.split
    }
    labelled = {site["name"]: site["findings"] for site in arguments.titles}
    steps, rows, files = [], [], []
    for site, samples, rejected, manifest, fetched in arguments.site:
        findings = labelled[site]
        labels = [f"{LABEL}{finding}" for finding in findings]
        images = SAMPLES.read(
            samples, "image", "patient", "patient_known", "view", "sex", "age", *labels
        )
        steps.append(flow.steps(site, findings, images, REJECTED.read(rejected), splits))
        rows += characteristics.describe(site, findings, images, splits)
        files.append(sources.describe(site, manifest, fetched))
    counted = pd.concat(steps, ignore_index=True)
    table = characteristics.joined(rows)
    audits = {"flow": arguments.flow, "sources": arguments.sources}
    with replacing_all(audits) as paths:
        write_marked(FLOW, counted, arguments.mark, paths["flow"])
        write_marked(SOURCES, pd.DataFrame(files), arguments.mark, paths["sources"])
    write(PARTICIPANTS, table, characteristics.layout(table, titles), arguments)
    style.save(figure_flow.draw(counted, titles), arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
