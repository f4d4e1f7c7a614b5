"""Make a site ready for a federation: its images, labels, split and an audit of its own.

The configuration files are laid over config/config.yaml; under `sites:` the last one has this site
alone, with the folder of its images or the address to download them from (config/README.md). The
workflow does the rest, for this site: what is ready is not made again.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing
from chexviz.base.settings import read
from chexviz.tools.site.prepared import ABOUT, STATE, About, Home

OVERLAY = "site.yaml"  # what is laid over the configuration, and kept in case of `chexviz report`
EVALUATION = ("bootstrap", "minimum_cases", "sensitivities", "margin")
METHOD = "fedavg"  # which one is nothing to a site alone


def alone(site: str) -> dict[str, list[str]]:
    """What of `run:` is another thing for one site by itself."""
    return {"sites": [site], "methods": [METHOD]}


def only_site(file: Path, sites: object) -> str:
    """The site of a configuration file's `sites:`. Raises InputError unless there is one."""
    names = [*sites] if isinstance(sites, Mapping) else []
    if len(names) == 1:
        return names[0]
    raise InputError(
        f"{file}: sites",
        expected="one entry: this site, with `title`, `findings`, `reader` and `source`",
        found=", ".join(names) or "none",
        fix="put the file that has this site alone last after --configfile",
    )


def targets(config: Mapping[str, Any], site: str, *, baseline: bool) -> list[str]:
    """What the workflow has to make of a site."""
    results, run = config["pathvars"]["results"], config["run"]
    found = [f"{results}/audit/labels.csv"]
    for protocol in run["protocols"]:
        found += [f"{results}/splits/{protocol}/{site}.csv", f"{results}/audit/{protocol}.csv"]
        for architecture in run["architectures"] if baseline else ():
            for seed in run["seeds"]:
                folder = f"{results}/models/{protocol}/{architecture}/baseline/seed{seed}"
                found.append(f"{folder}/{site}.safetensors")
    return found


def check_folder(results: Path, site: str) -> None:
    """Raise InputError if a folder of results is that of another site."""
    path = results / ABOUT
    if not path.is_file():
        return
    there = read(path.read_text(encoding="utf-8"), About, str(path)).name
    if there != site:
        raise InputError(
            path,
            expected=f"results of site {site}",
            found=f"those of {there}",
            fix="give each site a folder of its own: `pathvars: results:` of the configuration",
        )


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument(
        "--configfile",
        nargs="+",
        required=True,
        type=Path,
        metavar="YAML",
        help="the study's, if the coordinator has given one, and this site's",
    )
    parser.add_argument("--cores", default="all", help="of this machine (%(default)s)")
    parser.add_argument(
        "--baseline", action="store_true", help="also train this site's own models, to compare with"
    )
    parser.add_argument("--profile", help="of Snakemake, such as profiles/slurm")
    arguments = parser.parse_args(argv)
    from chexviz.pipeline import loading
    from chexviz.pipeline.making import make

    last = arguments.configfile[-1]
    site = only_site(last, loading.read(last).get("sites"))
    config = loading.load(arguments.configfile, **alone(site))
    results = Path(config["pathvars"]["results"])
    check_folder(results, site)
    overlay = results / OVERLAY
    with replacing(overlay) as temporary:
        temporary.write_text(json.dumps({"run": alone(site)}) + "\n", encoding="utf-8")
    wanted = targets(config, site, baseline=arguments.baseline)
    words = ["--profile", arguments.profile] if arguments.profile else ["--cores", arguments.cores]
    make(wanted, [*arguments.configfile, overlay], words)
    evaluation = {name: config["evaluation"][name] for name in EVALUATION}
    about = About(name=site, evaluation=evaluation)
    with replacing(results / ABOUT) as temporary:
        temporary.write_bytes(msgspec.json.encode(about))
    from chexviz.tools.site.account import account

    print(account(Home(about, results, results / STATE), config["run"]["protocols"]))


if __name__ == "__main__":
    run(main)
