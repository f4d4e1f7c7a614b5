"""Pack the results of a run to be given away: no patient's name, and of images none.

One ZIP file, which is a Workflow Run RO-Crate: tables, figures, bundles of models, the scores under
other names of images and patients, the code, and what made every file. Nothing is packed that a run
would make otherwise now (see `chexviz verify`). README.md in it says what was left out.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing
from chexviz.base.source_code import HOME
from chexviz.pipeline import release
from chexviz.pipeline.provenance import record_file
from chexviz.tools.archive.contents import gather, without_places
from chexviz.tools.archive.crate import About, describe
from chexviz.tools.verify import add_study, verified

# Of the repository. `config/patients` and the like name patients.
CODE = (
    *("Snakefile", "workflow/**/*", "config/*.yaml", "config/*.md", "envs/*", "paper/*"),
    *("docs/*.md", "README.md", "CHANGELOG.md", "pyproject.toml", "LICENSE", "CITATION.cff"),
)
RESULTS, REPOSITORY, CONFIG = (PurePosixPath(name) for name in ("results", "code", "config.json"))
README = """\
# {name}

{description}

- `results/`: tables, figures, bundles of models and scores; README.md there says more.
- `results/predictions/`: the scores of every model. **Images and patients have other names here**,
  drawn at random for this archive and kept nowhere. The same name is the same image or patient in
  all of these tables.
- `results/provenance.json`: what made every file of the run, also those that are not here. Paths of
  the machine are numbers.
- `config.json`: the whole configuration of the run.
- `code/`: the workflow that made it, version {version}.
- `ro-crate-metadata.json`: all of this for programs, a Workflow Run RO-Crate
  (https://w3id.org/ro/wfrun).
- `CITATION.cff`, `LICENSE`: how to cite the code, and its licence.

The results are under {licence}, the code under {code_licence}.

## What is not here

{left}

Before you publish: the numbers of small groups are in the tables as the run has them, and a model
can give away whom it was trained on. docs/privacy.md in `code/` says how much.
"""


def source_files() -> Iterator[PurePosixPath]:
    """The files of the repository that go into the archive."""
    for pattern in CODE:
        for file in sorted(HOME.glob(pattern)):
            if file.is_file() and "__pycache__" not in file.parts:
                yield PurePosixPath(file.relative_to(HOME))


def about_run(config: Mapping, licence: str, record: Path) -> About:
    """What the archive is called and says of itself."""
    chosen, code = config["run"], release.code(HOME / "CITATION.cff")
    titles = [config["sites"][site]["title"] for site in chosen["sites"]]
    name = f"CheXViz results: {', '.join(titles)}" + f" ({config['mark']})" * bool(config["mark"])
    description = (
        f"Results of a federated chest X-ray study over {', '.join(titles)}: "
        f"{', '.join(chosen['architectures'])} by {', '.join(chosen['methods'])}, split by "
        f"{' and '.join(chosen['protocols'])}."
    )
    ended = datetime.fromtimestamp(int(record.stat().st_mtime), UTC).isoformat()
    return About(name, description, licence, code["licence"], code["version"], ended)


def fill(
    folder: Path, config: Mapping, record: Mapping, about: About, radiographs: bool
) -> dict[PurePosixPath, str]:
    """Lay all that is given away into a folder; which job made each result, by its path there."""
    results = Path(config["pathvars"]["results"])
    taken, left = gather(record, results, folder / RESULTS, radiographs)
    for path in source_files():
        target = folder / REPOSITORY / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HOME / path, target)
    for name in ("LICENSE", "CITATION.cff", str(RESULTS / "README.md")):
        shutil.copyfile(HOME / name, folder / name)
    told = {RESULTS / "provenance.json": record, CONFIG: config}
    for path, content in told.items():
        (folder / path).write_text(without_places(content, results), encoding="utf-8")
    lines = [f"- {count} files: {why}" for why, count in left.items() if count]
    text = README.format(**about._asdict(), left="\n".join(lines) or "Nothing was left out.")
    (folder / "README.md").write_text(text, encoding="utf-8")
    return {RESULTS / path: job for path, job in taken.items()}


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_study(parser)
    parser.add_argument(
        "--radiographs",
        action="store_true",
        help="with the paper and the figures that show radiographs: where their licence allows it",
    )
    parser.add_argument("--licence", default="CC-BY-4.0", help="of the results, an SPDX identifier")
    parser.add_argument("output", type=Path, metavar="ZIP")
    arguments = parser.parse_args(argv)
    config, record = verified(arguments)
    about = about_run(config, arguments.licence, record_file(config))
    with tempfile.TemporaryDirectory() as name, replacing(arguments.output) as temporary:
        folder = Path(name)
        made = fill(folder, config, record, about, arguments.radiographs)
        crate = describe(folder, about, REPOSITORY / "Snakefile", CONFIG, made)
        crate.write_zip(temporary)
    print(f"{arguments.output}: {len(made)} results; README.md in it says what was left out.")


if __name__ == "__main__":
    run(main)
