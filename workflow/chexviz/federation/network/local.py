"""Train a federation as separate processes on this machine, which speak by Flower as hospitals do.

The same arguments, bytes and files as federation.train. Every site has a process, a registered key
and a folder of its own; task blocks go to the final model from those folders, not by messages.
"""

import argparse
import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from chexviz.base.command import program
from chexviz.base.errors import InputError, run
from chexviz.base.files import remove, replacing
from chexviz.base.tables.models import HISTORY
from chexviz.federation import train
from chexviz.federation.checkpoint import Checkpoint, fingerprint
from chexviz.federation.exchange import batchnorm_names
from chexviz.federation.network import bundle, credentials, join
from chexviz.federation.network.conduct import conduct
from chexviz.federation.network.control import Access, nodes, register
from chexviz.federation.network.coordinator import Rules
from chexviz.federation.network.kept import NOISE
from chexviz.federation.network.link import Link
from chexviz.federation.network.messages import Study
from chexviz.federation.network.participant import MODEL
from chexviz.federation.server import joined
from chexviz.federation.settings import findings_of
from chexviz.models import files
from chexviz.models.model import build

HOST = "127.0.0.1"
RULES = Rules(quorum=None, deadline=None, largest_step=1e6)  # of processes that are our own
SECONDS_TO_SAVE = 60
LOG, LINES = "site.log", 15  # of a site; how many of its lines an error shows


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = train.parser_of(main)
    parser.add_argument("--warmup", help="JSON of a Warmup, by which each site starts its head")
    return parser.parse_args(argv)


def study_of(arguments: argparse.Namespace) -> Study:
    """The study that the arguments name."""
    return Study(
        protocol=arguments.protocol,
        architecture=arguments.architecture,
        findings=findings_of(arguments.site),
        seed=arguments.seed,
        settings=json.loads(arguments.settings),
        warmup=json.loads(arguments.warmup) if arguments.warmup else None,
    )


def free_port() -> int:
    """A port of this machine that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def make_credentials(folder: Path, study: Study) -> None:
    """The coordinator's authority and secret, and a key of each site, once.

    Noise is drawn from the seed, as in one process: all sites are on this machine anyway.
    """
    if (folder / credentials.SECRET).exists():
        return
    credentials.make_authority(folder)
    credentials.make_server_certificate(folder, [HOST], days=365)
    for name in study.findings:
        credentials.make_site_key(folder / name / "key")
        own = folder / name / study.digest[:16]
        own.mkdir()
        credentials.create({own / NOISE: str(study.seed).encode()})
    credentials.make_secret(folder / credentials.SECRET)


def one_gpu(number: int) -> dict[str, str]:
    """What of its environment shows a process one of several GPUs, which go round by its number."""
    count = torch.cuda.device_count()
    if count < 2:
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))
    return {"CUDA_VISIBLE_DEVICES": visible.split(",")[number % count]}


@contextmanager
def joined_sites(
    folder: Path, access: Access, study: Study, arguments: argparse.Namespace
) -> Iterator[Mapping[str, subprocess.Popen]]:
    """The processes of the sites, each with its log; at the end they save and stop."""
    known = [site.name for site in nodes(access)]
    with ExitStack() as stack:
        processes = {}
        for number, name in enumerate(study.findings):
            own = folder / name
            if name not in known:
                register(access, name, credentials.read_public(own / "key.pub"))
            log = stack.enter_context((own / LOG).open("ab"))
            command, environment = program(join.__name__)
            command += [access.address, f"--name={name}"]
            command += [f"--key={own / 'key'}", f"--authority={folder / credentials.AUTHORITY}"]
            command += [f"--approve={bundle.sha256()}", f"--images={arguments.images}"]
            command += ["--split", study.protocol, str(arguments.split), f"--state={own}"]
            if arguments.duplicates:
                command += [f"--duplicates={arguments.duplicates}"]
            processes[name] = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment | one_gpu(number),
            )
        try:
            yield processes
        finally:
            for process in processes.values():
                process.terminate()
            for process in processes.values():
                try:
                    process.wait(SECONDS_TO_SAVE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def check_running(processes: Mapping[str, subprocess.Popen], folder: Path) -> None:
    """Raise InputError if a site's process has ended, with what it said last."""
    for name, process in processes.items():
        if process.poll() is not None:
            log = folder / name / LOG
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES:]
            raise InputError(
                log,
                expected=f"the process of site {name}, until the last round is over",
                found=f"that it ended with status {process.returncode}",
                fix="see what it said:\n    " + "\n    ".join(lines),
            )


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    study = study_of(arguments)
    inputs = [arguments.images, arguments.split]
    inputs += [one for one in (arguments.weights, arguments.duplicates) if one]
    mark = fingerprint("federation.network.local", {"study": study.text}, inputs)
    folder = arguments.checkpoint.with_name(f"{arguments.checkpoint.name}.network")
    if (folder / "study").is_file() and (folder / "study").read_text() != mark:
        remove(folder)  # of another study, or of other code
    make_credentials(folder, study)
    with replacing(folder / "study") as temporary:
        temporary.write_text(mark)
    some = dict([*study.findings.items()][:1])
    start = files.initial(arguments.architecture, some, arguments.seed, arguments.weights)
    block = start.representation.state_dict()
    with (
        train.stop_requests() as stop,
        Link(folder, HOST, free_port()) as link,
        joined_sites(folder, link.access, study, arguments) as processes,
        link.watched(stop),
    ):
        kept = Checkpoint(folder / "rounds", mark)
        watch = partial(check_running, processes, folder)
        server, _ = conduct(link.access, study, RULES, block, kept, stop, study.seed, watch)
    states: dict[str, dict] = {}
    heads: dict[str, list[str]] = {}
    for name in study.findings:
        states[name], about = files.load(folder / name / study.digest[:16] / MODEL)
        heads |= about["heads"]
    own = study.training().method.batchnorm == "local"
    layers = batchnorm_names(build(study.architecture, some, 0).representation) if own else []
    with replacing(arguments.history) as temporary:
        HISTORY.write(pd.DataFrame(server.history), temporary)
    about = train.about_model(arguments, heads) | server.privacy("seed")
    files.save(arguments.model, joined(states, layers), **about)
    remove(folder)


if __name__ == "__main__":
    run(main)
