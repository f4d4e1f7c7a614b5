"""The coordinator of a study as a process of its own, so that tests can kill it.

    python coordinate.py FOLDER ADDRESS STATE STUDY RULES

FOLDER: of the credentials. STATE: where rounds are kept, and history.csv and shared.npy written.
STUDY, RULES: as JSON.
"""

import logging
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.errors import run
from chexviz.base.settings import read
from chexviz.base.tables.models import HISTORY
from chexviz.federation.checkpoint import Checkpoint
from chexviz.federation.network.conduct import conduct
from chexviz.federation.network.control import Access
from chexviz.federation.network.coordinator import Rules
from chexviz.federation.network.messages import Study
from chexviz.federation.train import stop_requests
from chexviz.models import files


def main() -> None:
    folder, address, state, study, rules = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asked, kept = read(study, Study), Path(state)
    some = dict([*asked.findings.items()][:1])
    start = files.initial(asked.architecture, some, asked.seed, None).representation
    with stop_requests() as stop:
        server, _ = conduct(
            Access.of(Path(folder), address),
            asked,
            read(rules, Rules),
            start.state_dict(),
            Checkpoint(kept / "rounds", asked.digest),
            stop,
            asked.seed,
        )
    HISTORY.write(pd.DataFrame(server.history), kept / "history.csv")
    np.save(kept / "shared.npy", server.shared.numpy())


if __name__ == "__main__":
    run(main)
