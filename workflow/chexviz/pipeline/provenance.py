"""What made every result: hashes of config, code, data and environment (docs/provenance.md).

A run leaves provenance.json beside its results. Of each job it has what that rested on when it ran:
four tables of names and values, kept by their SHA-256. The `config` of an artifact is the hash of
the config tables of all jobs that it comes from; likewise code, data and environment.
`chexviz.tools.verify` computes all of it anew.
"""

import functools
import hashlib
import json
import platform
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from snakemake.settings.types import DeploymentMethod

from chexviz.base import source_code
from chexviz.base.errors import InputError
from chexviz.base.files import replacing, sha256
from chexviz.base.tables.sites import FETCHED
from chexviz.pipeline.configuration import Config

KINDS = ("config", "code", "data", "environment")
ANEW = """\
A new record is written. It says of all results that they are of the config, code, data and
environment of now; Snakemake compares these, but for the environment."""
HASHES = {"code", "fingerprint", "local", "tables"}  # parameters that other tables have in detail


def digest(value: Any) -> str:
    """SHA-256 of a value as JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def title(job: Any) -> str:
    """A job of Snakemake's as 'rule wildcard=value'."""
    return " ".join([job.rule.name, *(f"{key}={one}" for key, one in job.wildcards_dict.items())])


# --- what one job rests on -----------------------------------------------------------------------


def config_table(job: Any) -> dict[str, str]:
    """A job's parameters; not the hashes of its code and files, which the other tables have."""
    told = {name: value for name, value in job.params.items() if name not in HASHES}
    return flat(title(job), told)


def flat(name: str, value: Any) -> dict[str, str]:
    """The entries of nested settings, mappings or JSON: {'evaluate: settings: margin': '0.05'}."""
    if isinstance(value, str) and value.startswith("{"):
        value = json.loads(value)
    if not isinstance(value, Mapping):
        return {name: str(value)}
    entries = [flat(f"{name}: {key}", one) for key, one in value.items()]
    return {name: one for entry in entries for name, one in entry.items()}


def code_table(job: Any) -> dict[str, str]:
    """The checksums of a job's source files, and of its rule's command."""
    command = job.rule.shellcmd or ""
    return {f"command of rule {job.rule.name}": digest(command)} | sources(command)


def sources(command: str) -> dict[str, str]:
    """The checksums of the files of the repository that a rule's command rests on, by name."""
    entry = source_code.ENTRY.search(command)
    read = re.findall(r"\$CHEXVIZ/([\w./]+)", command)
    return source_code.contents(entry[1], *read) if entry else {}


def named(file: Path) -> str:
    """A file as seen from the repository, if its whole path is given and leads there."""
    home = source_code.HOME
    return file.relative_to(home).as_posix() if file.is_relative_to(home) else str(file)


def data_table(
    job: Any, files: Iterable[Path], resources: Path, checksum: Callable
) -> dict[str, str]:
    """The checksums of a job's files from elsewhere; a manifest stands for what was fetched."""
    made = [file for file in map(Path, job.output) if file.is_relative_to(resources)]
    # The day of a download is not a part of the data.
    fetched = [file for file in made if file.name != FETCHED.name]
    return {named(file): checksum(file) for file in [*files, *fetched] if file.is_file()}


def environment_table(job: Any, uses_conda: bool) -> dict[str, str]:
    """The files that define a job's conda environment; without one, Python and its packages."""
    if not (uses_conda and job.conda_env):
        return packages()
    name = Path(job.conda_env.file.get_path_or_uri(secret_free=True)).stem
    return {file: one for file, one in conda_files().items() if Path(file).match(f"{name}.*")}


@functools.cache
def packages() -> dict[str, str]:
    """The versions of Python and of all its packages."""
    installed = {one.metadata["Name"]: one.version for one in metadata.distributions()}
    return {"Python": platform.python_version()} | installed


@functools.cache
def conda_files() -> dict[str, str]:
    """The checksums of what defines conda environments."""
    kinds = ("yaml", "pin.txt", "post-deploy.sh")
    files = [file for kind in kinds for file in source_code.HOME.glob(f"envs/*.{kind}")]
    return {named(file): sha256(file) for file in files}


# --- what all jobs rest on -----------------------------------------------------------------------


def trace(
    workflow: Any, config: Config, jobs: Iterable, checksum: Callable = sha256
) -> dict[str, dict]:
    """What jobs of Snakemake's graph rest on.

    Gives `jobs`, each with the jobs that it needs and the digests of its tables, and `tables`, by
    digest. checksum: of a file, by its path.
    """
    checksum = functools.cache(checksum)
    resources = Path(config["pathvars"]["resources"])
    uses_conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
    found: dict[str, dict] = {}
    contents: dict[str, dict] = {}
    for job in jobs:
        needed = workflow.dag.dependencies[job]
        made = {file for files in needed.values() for file in files}
        files = [Path(file) for file in job.input if file not in made]
        own = {
            "config": config_table(job),
            "code": code_table(job),
            "data": data_table(job, files, resources, checksum),
            "environment": environment_table(job, uses_conda),
        }
        digests = {kind: digest(table) for kind, table in own.items()}
        contents |= {digests[kind]: own[kind] for kind in KINDS}
        found[title(job)] = {"needs": sorted(map(title, needed))} | digests
    return {"jobs": found, "tables": contents}


def lineage(jobs: Mapping[str, Mapping], name: str) -> set[str]:
    """A job and all jobs that it comes from."""
    found, pending = set(), [name]
    while pending:
        one = pending.pop()
        if one in jobs and one not in found:
            found.add(one)
            pending += jobs[one]["needs"]
    return found


def tables(known: Mapping, name: str, kind: str) -> dict[str, dict]:
    """By digest, all tables of a kind that a job and those that it comes from rest on.

    known: of jobs, as `trace` gives it.
    """
    digests = {known["jobs"][one][kind] for one in lineage(known["jobs"], name)}
    return {one: known["tables"][one] for one in digests}


# --- the record ----------------------------------------------------------------------------------


def record_file(config: Config) -> Path:
    """Where the record of a run is."""
    return Path(config["pathvars"]["results"]) / "provenance.json"


def read_record(path: Path) -> dict[str, dict]:
    """The record of earlier runs. Raises InputError if there is none, or if it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(found[part], dict) for part in ("artifacts", "jobs", "tables")):
            raise TypeError("other entries")
        return found
    except FileNotFoundError:
        found = "no such file"
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f"something else ({type(error).__name__}: {error})"
    raise InputError(
        path,
        expected="what a run has recorded of its results",
        found=found,
        fix="run the workflow, which writes one; if nothing is to be done, with --forcerun paper",
    )


def record(workflow: Any, config: Config) -> None:
    """Write the record after a run of Snakemake's `workflow`, whether it has ended well or not.

    What earlier runs have made keeps its entries: of the config, code and environment of then. So
    does what `--touch` only calls made.
    """
    path = record_file(config)
    if workflow.touch:
        if path.exists():
            path.touch()  # so that the next run does not take what was touched for its own
        return
    last: dict[str, dict] = {"artifacts": {}, "jobs": {}, "tables": {}}
    since = 0.0
    if path.exists():
        try:
            last, since = read_record(path), path.stat().st_mtime
        except InputError as error:
            print(f"WARNING {error}\n{ANEW}", file=sys.stderr)
    pending = set(workflow.dag.needrun_jobs())

    def is_new(job: Any) -> bool:
        # Snakemake notes the time of the file that a job has written; a later edit has another one.
        notes = filter(None, (workflow.persistence.metadata(file) for file in job.output))
        made = max((note.get("endtime") or 0.0 for note in notes), default=0.0)
        return title(job) not in last["jobs"] or made > since

    new = [job for job in workflow.dag.jobs if job.output and job not in pending and is_new(job)]
    found = trace(workflow, config, new)
    made = {
        str(file): {"job": title(job), "artifact": sha256(file)}
        for job in new
        for file in job.output
        if Path(file).exists()
    }
    kept = {file: one for file, one in last["artifacts"].items() if Path(file).exists()}
    known = {part: last[part] | found[part] for part in ("jobs", "tables")}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(joined(kept | made, known), indent=1, sort_keys=True))


def joined(artifacts: Mapping, known: Mapping) -> dict[str, dict]:
    """The artifacts with their hashes, and of all that is known what they rest on."""
    hashes = {
        name: {kind: digest(sorted(tables(known, name, kind))) for kind in KINDS}
        for name in {made["job"] for made in artifacts.values()}
    }
    names = {one for name in hashes for one in lineage(known["jobs"], name)}
    jobs = {name: known["jobs"][name] for name in names}
    used = {job[kind] for job in jobs.values() for kind in KINDS}
    return {
        "artifacts": {file: made | hashes[made["job"]] for file, made in artifacts.items()},
        "jobs": jobs,
        "tables": {one: known["tables"][one] for one in used},
    }
