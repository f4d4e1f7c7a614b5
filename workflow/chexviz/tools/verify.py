"""Whether all results are still what the config, code, data and environment of now would make.

Nothing is run: the hashes of provenance.json are computed anew. Ends with status 1 if one differs,
and says what has changed.
"""

import argparse
import re
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from snakemake.api import SnakemakeApi
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    Quietness,
    ResourceSettings,
)

from chexviz.base import source_code
from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import sha256
from chexviz.data.manifest import list_files, read_manifest
from chexviz.pipeline.provenance import (
    KINDS,
    conda_files,
    digest,
    packages,
    read_record,
    record_file,
    tables,
    trace,
)

ADVICE = """\
What rests on another config or code is made anew by a run of the workflow. It does not see edited
results and raw files, nor another environment: delete what should be made anew (the manifest of raw
files, to fetch them again)."""


def listed(path: Path) -> str:
    """The checksum of a file; of a manifest whose raw files differ from it, which ones do."""
    if path.name != "manifest.csv":
        return sha256(path)
    data, recorded = path.parent / "data", read_manifest(path)
    files = list_files(data)
    with ThreadPoolExecutor() as pool:
        found = dict(zip(files, pool.map(lambda file: sha256(data / file), files), strict=True))
    wrong = [file for file in sorted({*recorded, *found}) if recorded.get(file) != found.get(file)]
    return f"{len(wrong)} raw files differ: {', '.join(wrong[:5])}" if wrong else sha256(path)


def refreshed(table: Mapping[str, str]) -> dict[str, str]:
    """An environment's table as it is now; what it does not name does not matter."""
    now = packages() | conda_files()
    return {name: now.get(name, "absent") for name in table}


def compare(last: Mapping, now: Mapping) -> tuple[dict[str, list[str]], dict[str, set[str]]]:
    """What of each artifact does not match, if anything; and by kind what has changed.

    last: the record. now: what the jobs of the present config and code rest on.
    """
    wrong: dict[str, list[str]] = {}
    changed: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for file, made in last["artifacts"].items():
        same = Path(file).is_file() and sha256(file) == made["artifact"]
        wrong[file] = [] if same else ["artifact"]
        if made["job"] not in now["jobs"]:
            wrong[file].append("config (nothing makes it any more)")
            continue
        for kind in KINDS:
            before, after = (tables(one, made["job"], kind) for one in (last, now))
            if kind == "environment":
                after = {digest(table): table for table in map(refreshed, before.values())}
            if digest(sorted(after)) != made[kind]:
                wrong[file].append(kind)
                changed[kind] |= differences(before, after)
    return {file: found for file, found in wrong.items() if found}, changed


def differences(before: Mapping[str, Mapping], after: Mapping[str, Mapping]) -> set[str]:
    """The entries that differ between tables, as 'name: value, now value'; hashes are shortened."""
    was = {name: value for key in before.keys() - after for name, value in before[key].items()}
    is_now = {name: value for key in after.keys() - before for name, value in after[key].items()}
    lines = {
        f"{name}: {was.get(name, 'absent')}, now {is_now.get(name, 'absent')}"
        for name in was.keys() | is_now
        if was.get(name) != is_now.get(name)
    }
    return {re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1", line) for line in lines}


def report(last: Mapping, now: Mapping) -> str:
    """A line for each artifact that does not match, then what has changed; '' if all match."""
    wrong, changed = compare(last, now)
    if not wrong:
        return ""
    lines = [f"{file}: {', '.join(found)}" for file, found in sorted(wrong.items())]
    lines.append(f"\n{len(wrong)} of {len(last['artifacts'])} artifacts do not match.")
    for kind in filter(changed.get, KINDS):
        lines += [f"changed {kind}:", *(f"  {entry}" for entry in sorted(changed[kind]))]
    return "\n".join([*lines, ADVICE])


def present(snakefile: Path, configfiles: list[Path]) -> tuple[dict, dict]:
    """The whole config, and what all jobs rest on now, by a dry run of Snakemake.

    Ends with Snakemake's own message and status 1 if the config is at fault.
    """
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        try:
            built = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(configfiles=configfiles),
                snakefile=snakefile,
            )
            built.dag(DAGSettings(force_incomplete=True)).execute_workflow(executor="dryrun")
        except (WorkflowError, OSError) as error:
            sys.exit(f"ERROR {error}")
        workflow = built._workflow  # the API has no public way to the graph
        config = workflow.config
        return config, trace(workflow, config, workflow.dag.jobs, listed)


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which run is meant; see `verified`."""
    parser.add_argument("--snakefile", type=Path, default=source_code.HOME / "Snakefile")
    parser.add_argument("--configfile", type=Path, nargs="*", default=[], help="as of the run")


def verified(arguments: argparse.Namespace) -> tuple[dict, dict]:
    """The config of a run, and the record of its results.

    Ends with status 1, and says what differs, if they are not what would be made now.
    """
    config, now = present(arguments.snakefile, arguments.configfile)
    last = read_record(record_file(config))
    wrong = report(last, now)
    if wrong:
        sys.exit(wrong)
    return config, last


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_study(parser)
    config, last = verified(parser.parse_args(argv))
    path = record_file(config)
    print(f"All {len(last['artifacts'])} artifacts match {path}.")


if __name__ == "__main__":
    run(main)
