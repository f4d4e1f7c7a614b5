"""Train a study over the sites that are registered: the workflow's, without its images.

The study is that of the configuration: `run: sites:` in their order, and one of its architectures,
methods, protocols and seeds. Ctrl-C and SIGTERM stop it; `chexviz server resume` goes on.
"""

import argparse
from pathlib import Path

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.options import finite, whole
from chexviz.tools.server.place import access_of, add_folder

CHOICES = {  # a list under `run:`, and what one of it is called here
    "architectures": "architecture",
    "methods": "method",
    "protocols": "protocol",
    "seeds": "seed",
}
LARGEST_STEP = 10.0
MONTH = 30 * 24 * 3600


def times(text: str) -> float:
    """A positive number from its text."""
    if finite(text) <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return float(text)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argument_parser(main)
    add_folder(parser)
    parser.add_argument(
        "--configfile",
        nargs="+",
        default=[],
        type=Path,
        metavar="YAML",
        help="laid over config/config.yaml, as Snakemake does",
    )
    for key, name in CHOICES.items():
        parser.add_argument(f"--{name}", help=f"one of `run: {key}:` (the only one)")
    parser.add_argument(
        "--quorum",
        type=whole(1, 1000000),
        metavar="SITES",
        help="answers that a round needs, where sites refuse or are late (of all)",
    )
    parser.add_argument(
        "--deadline",
        type=whole(1, MONTH),
        metavar="SECONDS",
        help="from when a round goes on with the quorum (never)",
    )
    parser.add_argument(
        "--largest-step",
        type=times,
        default=LARGEST_STEP,
        metavar="TIMES",
        help="an update is refused whose distance from the average is more than so many times the "
        "length of that (%(default)g)",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    access = access_of(arguments.folder)
    from chexviz.pipeline import loading
    from chexviz.tools.server import orders
    from chexviz.tools.server.conducting import conducted

    config = loading.load(arguments.configfile)
    choice = {
        name: orders.chosen(config, key, getattr(arguments, name)) for key, name in CHOICES.items()
    }
    rules = {
        "quorum": arguments.quorum,
        "deadline": arguments.deadline,
        "largest_step": arguments.largest_step,
    }
    conducted(access, orders.begun(arguments.folder, config, orders.order(config, choice, rules)))


if __name__ == "__main__":
    run(main)
