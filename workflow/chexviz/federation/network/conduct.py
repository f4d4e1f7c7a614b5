"""A study from its first round to its last over a SuperLink, through whatever ends a run of it."""

import logging
import sys
import threading
from collections.abc import Callable, Mapping

from flwr.serverapp import Grid
from torch import Tensor

from chexviz.base.errors import InputError
from chexviz.federation.checkpoint import Checkpoint
from chexviz.federation.network.connection import Unreachable
from chexviz.federation.network.control import Access, nodes, sole, submit
from chexviz.federation.network.coordinator import Coordinator, Rules
from chexviz.federation.network.messages import Study
from chexviz.federation.network.post import Nodes, end_if_asked
from chexviz.federation.network.task import RunEnded, serving
from chexviz.federation.server import Server

SECONDS_BETWEEN_TRIES = 2  # of a SuperLink that is away

Tables = dict[str, Mapping[str, str]]  # that sites share of their results, by site and file

logging.getLogger("flwr").setLevel(logging.WARNING)  # it names every message


def conduct(
    access: Access,
    study: Study,
    rules: Rules,
    block: Mapping[str, Tensor],
    kept: Checkpoint,
    stop: threading.Event,
    secret: int | None,
    watch: Callable[[], None] = lambda: None,
) -> tuple[Server, Tables]:
    """Train a study over the sites that are registered; the server at its end, and their tables.

    If the SuperLink gives a run up, since it was killed or heard nothing of us, another one goes on
    from the last round that is kept. See Coordinator and its run. watch: called every second or so
    while it waits for sites. Raises InputError, and what `watch` raises.
    """
    with sole(access):
        check_registered(access, study)
        number = submit(access)
        while True:
            try:
                with serving(access, number) as grid:
                    grid.stop = stop
                    here = present(grid, study, watch)
                    coordinator = Coordinator(study, rules, grid, here, stop, secret)
                    return coordinator.run(block, kept), coordinator.tables
            except (RunEnded, Unreachable) as error:
                print(f"{error}\nanother run goes on", file=sys.stderr, flush=True)
                number = resubmit(access, stop)


def resubmit(access: Access, stop: threading.Event) -> int:
    """Start a run in place of one that is over, as soon as the SuperLink is there again."""
    while True:
        end_if_asked(stop)
        try:
            return submit(access)
        except Unreachable:
            stop.wait(SECONDS_BETWEEN_TRIES)


def check_registered(access: Access, study: Study) -> None:
    """Raise InputError unless every site of a study has registered a key."""
    known = [site.name for site in nodes(access)]
    missing = [name for name in study.findings if name not in known]
    if missing:
        raise InputError(
            f"server at {access.address}",
            expected=f"registered sites {', '.join(study.findings)}",
            found=f"{', '.join(known) or 'none'}",
            fix=f"register {', '.join(missing)}: `chexviz server register`",
        )


def present(grid: Grid, study: Study, watch: Callable[[], None]) -> Nodes:
    """Tells which sites of a study are connected. Names are those of registered keys."""

    def there() -> dict[str, tuple[int, str]]:
        watch()
        return {
            node.name: (node.node_id, node.last_activated_at)
            for node in grid.get_nodes()
            if node.name in study.findings
        }

    return there
