"""Say which sites are registered and connected, and how far the studies of a folder are."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.progress import duration
from chexviz.tools.server.order import HISTORY, Ordered, all_of
from chexviz.tools.server.place import access_of, add_folder, check_set_up, is_running

if TYPE_CHECKING:
    from chexviz.federation.network.control import Site


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_folder(parser)
    folder = parser.parse_args(argv).folder
    check_set_up(folder)
    studies = all_of(folder)
    sites: list[Site] = []
    if is_running(folder):
        from chexviz.federation.network import control

        access, now = access_of(folder), datetime.now(UTC)
        sites = control.nodes(access)
        print(f"server at {access.address}: {len(sites)} sites are registered")
        for site in sites:
            print(f"  {site_line(site, now)}")
    else:
        print(f"no server runs: `chexviz server start {folder}`")
    for ordered in studies:
        print("\n".join(study_lines(ordered, sites)))


def site_line(site: "Site", now: datetime) -> str:
    """One site: whether it is connected, when it was seen, its key."""
    seen = f"seen {duration((now - site.seen).total_seconds())} ago" if site.seen else "never seen"
    state = "connected" if site.online else "not connected"
    return f"{site.name}: {state}, {seen}, key {site.fingerprint}"


def study_lines(ordered: Ordered, sites: Sequence["Site"]) -> list[str]:
    """One study: its rounds, the losses of the last, and who of its sites is missing."""
    study = ordered.order.study
    total, names = study["settings"]["rounds"], [*study["findings"]]
    rows = last_round(ordered)
    done = rows[0]["round"] if rows else 0
    state = "over" if ordered.is_over else f"round {done} of {total} is over"
    lines = [f"study {ordered.folder.name}: {state}"]
    if rows:
        # Under `privacy` no loss is told.
        name, title = ("epsilon", "epsilon") if math.isnan(rows[0]["loss"]) else ("loss", "losses")
        values = ", ".join(f"{row['site']} {row[name]:.4g}" for row in rows)
        lines.append(f"  {title} of round {done}: {values}")
    known, online = ({site.name for site in sites if site.online or every} for every in (1, 0))
    missing = [name if name in known else f"{name} (not registered)" for name in names]
    missing = [text for name, text in zip(names, missing, strict=True) if name not in online]
    if missing and not ordered.is_over:
        lines.append(f"  not connected: {', '.join(missing)}")
    return lines


def last_round(ordered: Ordered) -> list[dict]:
    """The rows of the history's last round; none before the first is over."""
    from chexviz.base.tables.models import HISTORY as TABLE

    path = ordered.path(HISTORY)
    if not path.is_file():
        return []
    rows = TABLE.read(path)
    return rows[rows["round"] == rows["round"].max()].to_dict("records")


if __name__ == "__main__":
    run(main)
