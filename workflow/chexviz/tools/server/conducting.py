"""A study from its order to its results, and what is said and kept of it on the way."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from torch import Tensor

from chexviz.base.errors import InputError
from chexviz.base.files import remove, replacing
from chexviz.base.progress import duration
from chexviz.base.tables.models import HISTORY as TABLE
from chexviz.base.tables.models import SHARED
from chexviz.evaluation.disclosure import TABLES
from chexviz.federation.checkpoint import Checkpoint
from chexviz.federation.exchange import batchnorm_names
from chexviz.federation.network import bundle, journal
from chexviz.federation.network.conduct import Tables, conduct
from chexviz.federation.network.control import Access
from chexviz.federation.network.coordinator import Rules
from chexviz.federation.network.diary import account, bytes_of
from chexviz.federation.network.kept import noise_secret
from chexviz.federation.network.messages import Study
from chexviz.federation.server import Server
from chexviz.federation.train import stop_requests
from chexviz.models import files
from chexviz.tools import join_evaluations
from chexviz.tools.server.order import BLOCK, HISTORY, MODEL, ROUNDS, SHARE, START, Ordered

LOG = logging.getLogger(__name__)


class Rounds(Checkpoint):
    """The checkpoint of a study, with the history of its rounds as a table and in the log."""

    def __init__(self, path: Path, fingerprint: str, history: Path, study: Study):
        super().__init__(path, fingerprint)
        self.history, self.study, self.since = history, study, time.monotonic()

    def save(self, state: Mapping) -> None:
        super().save(state)
        rows = state["server"]["history"]
        write_history(rows, self.history)
        number, now = state["server"]["round"], time.monotonic()
        last = {row["site"]: row for row in rows if row["round"] == number}
        total = self.study.training().rounds
        LOG.info("%s", round_line(number, total, last, now - self.since, [*self.study.findings]))
        self.since = now


def round_line(
    number: int, total: int, rows: Mapping[str, Mapping], seconds: float, sites: list[str]
) -> str:
    """A round that is over: its time, what each site sent, its loss, and who had no part in it.

    Under `privacy` there is what was spent of it instead of the loss.
    """
    losses = ", ".join(
        f"{site} {told(row)} ({bytes_of(row['sent'])})" for site, row in rows.items()
    )
    missing = [site for site in sites if site not in rows]
    without = f"; without {', '.join(missing)}" if missing else ""
    return f"round {number} of {total} is over: {duration(seconds)}, {losses}{without}"


def told(row: Mapping) -> str:
    """What is told of a site's round: 'loss 0.5123', or under `privacy` 'epsilon 1.23'."""
    name = "loss" if row["loss"] is not None else "epsilon"
    return f"{name} {row[name]:.4g}"


def write_history(rows: list[dict], path: Path) -> None:
    with replacing(path) as temporary:
        TABLE.write(pd.DataFrame(rows), temporary)


def conducted(access: Access, ordered: Ordered) -> None:
    """Train a study to its end from where it is, and write its results. Raises InputError."""
    order = ordered.order
    check_code(ordered)
    study, rules = Study(**order.study), Rules(**order.rules)
    block, _ = files.load(ordered.path(START))
    noisy = study.training().method.server_adds_noise
    secret = noise_secret(access.secret.parent) if noisy else None
    kept = Rounds(ordered.path(ROUNDS), study.digest, ordered.path(HISTORY), study)
    with journal.kept(), stop_requests() as stop:
        LOG.info("%s; in %s", account(study), ordered.folder)
        server, tables = conduct(access, study, rules, block, kept, stop, secret)
        write_history(server.history, ordered.path(HISTORY))
        share(tables, ordered.path(SHARE), ordered.folder)
        write_model(server, study, ordered)
        kept.remove()
        LOG.info("the study is over; its results are in %s", ordered.folder)


def check_code(ordered: Ordered) -> None:
    """Raise InputError if other code than that which is here has begun a study."""
    if ordered.order.app != bundle.sha256():
        raise InputError(
            ordered.folder,
            expected=f"a study that this code has begun, the app {bundle.sha256()}",
            found=f"one of the app {ordered.order.app}",
            fix="go on with the version of the code that has begun it, or move the folder away "
            "and start the study anew",
        )


def write_model(server: Server, study: Study, ordered: Ordered) -> None:
    """Write what has travelled: the representation block, and the model where sites share heads.

    Of a block whose BatchNorm layers each site keeps for itself, those are left out.
    """
    model, exchange = server.members[0].model, server.method.exchange
    exchange.unpack(server.shared, server.method.travelling(model))
    own = study.training().method.batchnorm == "local"
    left_out = batchnorm_names(model.representation) if own else []
    about = {
        "architecture": study.architecture,
        "seed": study.seed,
        "settings": study.settings,
        "left_out": left_out,
        **server.privacy("secret"),
    }
    if SHARED in model.heads:
        files.save(ordered.path(MODEL), model.state_dict(), heads={**model.heads}, **about)
    block: dict[str, Tensor] = model.representation.state_dict()
    kept = {name: tensor for name, tensor in block.items() if name not in left_out}
    files.save(ordered.path(BLOCK), kept, **about)


def share(tables: Tables, folder: Path, output: Path) -> None:
    """Keep what sites have told of their results, and join it; a site's odd tables are left out."""
    remove(folder)
    for site, given in tables.items():
        try:
            keep(site, given, folder / site)
        except InputError as error:
            LOG.error("what site %s tells of its results is not used: %s", site, error)
            remove(folder / site)
    sites = [site for site in tables if (folder / site).is_dir()]
    if not sites:
        LOG.info("no site tells results")
        return
    folders = [str(folder / site) for site in sites]
    join_evaluations.main(["--site", *sites, "--share", *folders, f"--output={output}"])
    LOG.info("results of %s, joined: %s", ", ".join(sites), output / "metrics.csv")


def keep(site: str, given: Mapping[str, str], folder: Path) -> None:
    """Write the tables of one site. Raises InputError for a name or content that is none."""
    known = {f"{name}.csv": name for name in TABLES}
    for file, text in given.items():
        if file not in known:
            raise InputError(
                f"site {site}", expected=", ".join(known), found=file, fix="ask the site"
            )
        with replacing(folder / file) as temporary:
            temporary.write_text(text, encoding="utf-8")
    for name in TABLES:
        join_evaluations.read_shared(name, {site: folder})
