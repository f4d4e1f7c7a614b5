"""What all rules share: the validated config, wildcards, code tracking and the source check."""

import os
import shlex
import sys

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

sys.path.insert(0, os.path.join(HOME, "workflow"))

from chexviz.base.source_code import digest as code
from chexviz.data.sources.registry import missing
from chexviz.pipeline import arguments, configuration, loading, paths, provenance, settings
from chexviz.pipeline import study
from chexviz.pipeline import training_work
from chexviz.pipeline.signals import relay_termination
from chexviz.reporting.paper.inventory import figures

# Of a module Snakemake reads no `configfile:`; the other workflow's settings are an overlay too.
config.update(loading.complete(config))

# A conda environment drops an inherited PYTHONPATH, and a prefix drops Snakemake's strict mode.
# What ends a job may reach all of its processes at once: the shell and the log's writer then wait
# for the program, which may have a checkpoint to save and something to say about it.
shell.prefix(
    f"set -euo pipefail; export CHEXVIZ={shlex.quote(HOME)}; export PYTHONPATH=$CHEXVIZ/workflow; "
    "trap : TERM; tee() {{ trap '' INT TERM; exec tee \"$@\"; }}; "
)

# The Snakemake that runs the command of a cluster's job is the first process of the job.
if workflow.remote_exec and workflow.local_exec:
    relay_termination()


def literal(value):
    """A parameter that is this text, or JSON of these settings.

    In a text, Snakemake takes {word} for a wildcard; not in what a function gives.
    """
    text = value if isinstance(value, str) else settings.text(value)
    return lambda wildcards: text


SITES = config["run"]["sites"]
TRAINING_SITES = study.training_sites(config)
EXTERNAL = ["external"] if study.external_sites(config) else []  # table and figure of such sites
PRIVATE = ["epsilon"] if study.private_methods(config) else []  # figure of methods with privacy
PROTOCOLS = config["run"]["protocols"]
FIRST_METHOD = config["run"]["methods"][0]
MODELS, EXAMPLES = study.models(config), study.example_models(config)
IMAGES = [paths.image_file(config, site) for site in SITES]
SHARDED = study.sharded_sites(config)
TITLES, MARK = literal(settings.titles(config)), literal(config["mark"])
TRAINING_ENVIRONMENT = f"../../envs/train-{config['pytorch']}.yaml"
FEDERATION_ENVIRONMENT = f"../../envs/federate-{config['pytorch']}.yaml"


# Snakemake compares a job's input with that of its last run as a set. Where the order of files shows
# in a result and no other parameter tells it, the rule has it as its parameter `order`.


wildcard_constraints:
    site="|".join(config["sites"]),
    protocol="paper|patient",
    architecture="|".join(config["architectures"]),
    method="[a-z][a-z0-9]*",
    seed="[0-9]+",
    shard="[0-9]+",


def any_of(sites):
    """A wildcard that is one of these sites; of none, one that matches nothing."""
    return "|".join(sites) or "(?!)"


def unchanging(files):
    """Files from elsewhere whose content is a parameter, so that their times do not matter."""
    return [ancient(file) for file in files]


def stored(site):
    """The archive of a site that a storage plugin of Snakemake fetches before the job, if any."""
    address = configuration.stored_address(config, site)
    if address is None:
        return []
    try:
        # Read once, so that a plugin may link it instead of copying it.
        archive = access.sequential(storage(address))
        problem = None if archive.flags["storage_object"].exists() else "nothing is there"
    except Exception as error:  # of any class: every plugin has its own
        problem = f"{type(error).__name__}: {error}"
    if problem:
        raise WorkflowError(str(configuration.unavailable(site, address, problem)))
    return [archive]


def reported(name):
    """How the report shows a figure, as its module declares it; its caption is a parameter."""
    figure = figures()[name]
    protocol = "{protocol}" if figure.by_protocol else "all"
    return {
        "caption": "../report/figure.rst",
        "category": figure.category,
        "labels": {"shows": figure.shows, "protocol": protocol},
    }


def caption(name):
    """The parameter that is a figure's caption in the report."""
    given = {"config": config, "method": FIRST_METHOD}
    return lambda wildcards: figures()[name].report.format(**wildcards, **given)


def growing(amount):
    """A resource that a job gets `amount` of, and as much again with every retry."""
    return lambda wildcards, attempt: amount * attempt


def require_sources():
    """Stop before any job if the data of a site can neither be found nor be got."""
    problems = []
    for site in SITES:
        (manifest,) = expand(rules.download.output.manifest, site=site)
        problem = None if os.path.exists(manifest) else missing(config["sites"][site]["source"])
        if problem:
            problems.append(f"site {site}: {problem}")
    if problems:
        raise WorkflowError("\n".join(problems))


def forecast():
    """Say how long the trainings to come will take here, if that is long and there is no GPU."""
    if workflow.remote_exec or workflow.touch or not workflow.local_exec:
        return
    jobs = [job for job in workflow.dag.needrun_jobs() if job.rule.name.startswith("train_")]
    trainings = [dict(job.wildcards.items()) for job in jobs]
    command = training_work.forecast(config, trainings, workflow.cores)
    if command:
        with_conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
        shell("{command}", conda_env=jobs[0].conda_env.address if with_conda else None)
