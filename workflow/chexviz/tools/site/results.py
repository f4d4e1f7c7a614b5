"""A site's own evaluation of what a federation has left here, and what of it may be told."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from chexviz.base.methods import BASELINE
from chexviz.base.settings import read
from chexviz.base.sites import Site
from chexviz.federation.network.diary import STUDY
from chexviz.federation.network.messages import Study
from chexviz.tools import site_evaluation
from chexviz.tools.site.prepared import Home
from chexviz.tools.site_evaluation import SHARE, evaluate_site, trained

LOG = logging.getLogger(__name__)
OUTPUT = "evaluation"  # in the folder of a study's state


def evaluate(home: Home, model: Path, smallest: int) -> Path:
    """Evaluate a federation's model, and this site's baseline where there is one.

    Returns the folder of the tables, of which those in its folder `share` may be told: nothing in
    them rests on fewer than `smallest` patients. Raises InputError.
    """
    study = read((model.parent / STUDY).read_text(encoding="utf-8"), Study, str(model))
    name = home.about.name
    site = Site(name, "train", study.findings[name])
    models = [trained(model, site, None)]
    baseline = home.baseline(study.protocol, study.architecture, study.seed)
    if baseline.is_file():
        models.append(trained(baseline, site, BASELINE))
    settings = home.about.evaluation | {
        "threads": study.training().threads,
        "smallest_cell": smallest,
    }
    output = model.parent / OUTPUT
    evaluate_site(
        site,
        home.folder,
        home.used()[study.protocol],
        models,
        read(json.dumps(settings), site_evaluation.Settings, "evaluation"),
        output,
    )
    return output


class Shared:
    """What the operator agreed to tell of the results of a federation's model, by file name.

    names: of tables. A site whose evaluation fails tells nothing; the study ends all the same.
    """

    def __init__(self, home: Home, names: Sequence[str], smallest: int):
        self.home, self.names, self.smallest = home, names, smallest

    def __call__(self, model: Path) -> Mapping[str, str]:
        if not self.names:
            return {}
        try:
            folder = evaluate(self.home, model, self.smallest) / SHARE
            files = [folder / f"{name}.csv" for name in self.names]
            tables = {path.name: path.read_text("utf-8") for path in files if path.is_file()}
        except Exception:
            LOG.exception("the model could not be evaluated; nothing is shared")
            return {}
        LOG.info("shared with the coordinator: %s of %s", ", ".join(tables) or "nothing", folder)
        return tables
