"""What all rules share: the validated config, wildcards, code tracking and the source check."""

import os
import sys

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

sys.path.insert(0, os.path.join(workflow.basedir, "workflow"))

from chexviz import closure, plan, provenance
from chexviz.download import missing
from chexviz.errors import InputError
from chexviz.relay import relay_termination

try:
    validate(config, os.path.join(workflow.basedir, "workflow/schemas/config.schema.yaml"))
    plan.check(config)
except WorkflowError as error:
    # Snakemake's own message prints the whole schema; the cause says what is wrong, and where.
    wrong = error.__context__
    raise WorkflowError(
        f"config: {wrong.json_path}: {wrong.message}\n"
        "config/README.md explains every key; the schema is workflow/schemas/config.schema.yaml"
    )
except InputError as error:
    raise WorkflowError(str(error))

# A conda environment drops an inherited PYTHONPATH, and a prefix drops Snakemake's strict mode.
# What ends a job may reach all of its processes at once: the shell and the log's writer then wait
# for the program, which may have a checkpoint to save and something to say about it.
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH={workflow.basedir}/workflow; "
    "trap : TERM; tee() {{ trap '' INT TERM; exec tee \"$@\"; }}; "
)

# The Snakemake that runs the command of a cluster's job is the first process of the job.
if workflow.remote_exec and workflow.local_exec:
    relay_termination()

SITES = config["run"]["sites"]
PROTOCOLS = config["run"]["protocols"]
MODELS, SHOWN = plan.predictions(config), plan.shown(config)
IMAGES = [plan.image_file(config, site) for site in SITES]
SHARDED = plan.sharded(config)
TRAINING_ENVIRONMENT = f"../../envs/train-{config['pytorch']}.yaml"


wildcard_constraints:
    site="|".join(config["sites"]),
    protocol="paper|patient",
    architecture="|".join(config["architectures"]),
    method="[a-z]+",
    seed="[0-9]+",
    shard="[0-9]+",


def names(sites):
    """A wildcard that is one of these sites; of none, one that matches nothing."""
    return "|".join(sites) or "(?!)"


def here(path):
    """A file of the workflow, as seen from the working directory."""
    return os.path.relpath(os.path.join(workflow.basedir, path))


def code(entry):
    """The source files that an entry point runs: an edit of one reruns its jobs."""
    return [os.path.relpath(path) for path in closure.files(entry)]


def growing(amount):
    """A resource that a job gets `amount` of, and as much again with every retry."""
    return lambda wildcards, attempt: amount * attempt


def require_sources():
    """Stop before any job if the data of a site can neither be found nor be got."""
    problems = []
    for site in SITES:
        manifest = f"{config['pathvars']['resources']}/{site}/manifest.csv"
        problem = None if os.path.exists(manifest) else missing(config["sites"][site]["source"])
        if problem:
            problems.append(f"site {site}: {problem}")
    if problems:
        raise WorkflowError("\n".join(problems))
