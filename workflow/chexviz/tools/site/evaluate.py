"""Evaluate the model that a federation has left here, on this site's images, which stay.

Where the workflow has trained the site's own baseline (`chexviz site prepare --baseline`), the two
are compared. What may be told others is in the folder `share` of the results.
"""

from pathlib import Path

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.options import whole
from chexviz.tools.site.prepared import add_home, home_of

MODEL = "model.safetensors"


def left_by(state: Path, study: str | None) -> Path:
    """The model that a study has left in the folder of a site's state; None: the only one.

    study: the start of its folder's name. Raises InputError if there is none, or several are.
    """
    found = sorted(path.parent.name for path in state.glob(f"*/{MODEL}"))
    chosen = [name for name in found if name.startswith(study or "")]
    if len(chosen) == 1:
        return state / chosen[0] / MODEL
    raise InputError(
        f"--study {study}" if study else state,
        expected="the model of one study that is over",
        found=f"those of {', '.join(chosen or found)}" if found else "none",
        fix="name the study: `--study`, and the start of one of these names"
        if found
        else "stay joined until the last round is over, or correct --state",
    )


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_home(parser)
    parser.add_argument(
        "--study", help="which one, as the log of `chexviz site join` calls it (the only one)"
    )
    parser.add_argument(
        "--smallest-cell",
        type=whole(1, 1000),
        default=5,
        metavar="PATIENTS",
        help="no number in tables that may be told rests on fewer (%(default)s)",
    )
    arguments = parser.parse_args(argv)
    home = home_of(arguments)
    model = left_by(home.state, arguments.study)
    from chexviz.tools.site.results import evaluate

    output = evaluate(home, model, arguments.smallest_cell)
    print(f"{output}: all tables; they stay here. {output / 'share'}: those that may be told.")


if __name__ == "__main__":
    run(main)
