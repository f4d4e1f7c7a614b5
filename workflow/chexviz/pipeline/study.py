"""What a run consists of: its sites and their roles, its trainings, the models that are scored."""

from collections.abc import Mapping

from chexviz.base.methods import BASELINE, DEFAULTS, ENSEMBLE, POOLED, private_unit
from chexviz.base.tables.models import SHARED

Config = Mapping
GIVEN = "given"  # a site's split is the one that its dataset comes with


def training_sites(config: Config) -> list[str]:
    """The sites of the run that train."""
    return of_role(config, "train")


def external_sites(config: Config) -> list[str]:
    """The sites of the run that train nothing: all their images evaluate."""
    return of_role(config, "external")


def of_role(config: Config, role: str) -> list[str]:
    """The sites of the run that have a role, in order."""
    return [site for site in config["run"]["sites"] if config["sites"][site]["role"] == role]


def with_given_split(config: Config, sites: list[str]) -> list[str]:
    """Those of these sites that keep the split which their dataset comes with."""
    return [site for site in sites if config["sites"][site]["split"] == GIVEN]


def attributes(config: Config, site: str) -> dict[str, dict]:
    """What else groups the images of a site: table and column by name of the attribute."""
    return config["sites"][site]["attributes"] or {}


def learned_findings(config: Config, sites: list[str]) -> list[str]:
    """The findings that any of these sites labels, in the order in which they name them."""
    named = (finding for site in sites for finding in config["sites"][site]["findings"])
    return list(dict.fromkeys(named))


def sharded_sites(config: Config) -> list[str]:
    """The sites of the config that are preprocessed by several jobs."""
    return [site for site, about in config["sites"].items() if about["shards"] > 1]


def pretrained(config: Config, architecture: str) -> bool:
    """Whether the representation block starts from weights that come from elsewhere."""
    return config["architectures"][architecture]["weights"] != "random"


def warmed_up(config: Config, architecture: str) -> bool:
    """Whether the task block is trained alone first."""
    return "warmup" in config["architectures"][architecture]


def is_ensemble(config: Config, method: str) -> bool:
    """Whether a method is no model of its own, but all baselines together."""
    return method != BASELINE and config["methods"][method]["algorithm"] == ENSEMBLE


def unit_of_privacy(config: Config, method: str) -> str:
    """Whom a method is differentially private for: each patient, each site; '' for nobody."""
    return "" if method == BASELINE else private_unit(config["methods"][method])


def is_private(config: Config, method: str) -> bool:
    """Whether it is for anybody."""
    return bool(unit_of_privacy(config, method))


def private_methods(config: Config) -> list[str]:
    """Those of the run."""
    return [method for method in config["run"]["methods"] if is_private(config, method)]


def without_privacy(config: Config) -> list[str]:
    """Those of the run that are like a private one, but for its privacy."""
    methods = {name: DEFAULTS | config["methods"][name] for name in config["run"]["methods"]}
    alike = [
        {key: value for key, value in methods[name].items() if key != "privacy"}
        for name in private_methods(config)
    ]
    return [name for name, method in methods.items() if method in alike]


def has_shared_heads(config: Config, method: str) -> bool:
    """Whether a method has one head for each finding, and none for each site."""
    how = config["methods"][method]
    return how["algorithm"] == POOLED or how.get("heads") == SHARED


def trainings(config: Config) -> list[dict]:
    """Every training: architecture, method, seed, and the name of its files."""
    run = config["run"]
    trained = [method for method in run["methods"] if not is_ensemble(config, method)]
    names = [(BASELINE, site) for site in training_sites(config)]
    names += [(method, "global") for method in trained]
    return [
        {"architecture": architecture, "method": method, "seed": seed, "name": name}
        for architecture in run["architectures"]
        for method, name in names
        for seed in run["seeds"]
    ]


def models(config: Config) -> list[dict]:
    """Every model that is scored: architecture, method, seed. A baseline is one of all sites."""
    run = config["run"]
    return [
        {"architecture": architecture, "method": method, "seed": seed}
        for architecture in run["architectures"]
        for method in [BASELINE, *run["methods"]]
        for seed in run["seeds"]
    ]


def example_models(config: Config) -> list[dict]:
    """Those whose maps are shown on radiographs: baseline and the first method, first seed."""
    run = config["run"]
    methods, seed = (BASELINE, run["methods"][0]), run["seeds"][0]
    return [one for one in models(config) if one["method"] in methods and one["seed"] == seed]


def bundled_protocol(config: Config) -> str:
    """The protocol whose models are given away: with validation images, which choose thresholds."""
    protocols = config["run"]["protocols"]
    return "patient" if "patient" in protocols else protocols[0]


def bundled_model(config: Config, protocol: str, architecture: str) -> dict:
    """The model of an architecture that is given away: the first method, the first seed.

    It is the one of Table 1 and of the figures: the card has the numbers that the paper has.
    """
    first = {"method": config["run"]["methods"][0], "seed": config["run"]["seeds"][0]}
    return {"protocol": protocol, "architecture": architecture} | first


def attacked_models(config: Config) -> list[dict]:
    """The models whose leaks are measured: of every federated method, the first seed.

    What trains in one place, or is no model of its own, sends nothing.
    """
    if not config["run"]["privacy"]:
        return []
    seed, methods = config["run"]["seeds"][0], config["methods"]
    return [
        {"architecture": architecture, "method": method, "seed": seed}
        for architecture in config["privacy"]["architectures"]
        if architecture in config["run"]["architectures"]
        for method in config["run"]["methods"]
        if methods[method]["algorithm"] not in (POOLED, ENSEMBLE)
    ]


def shadows(config: Config) -> list[str]:
    """The names of the splits that the attacker's own models are trained by."""
    return [f"shadow{number + 1}" for number in range(config["privacy"]["membership"]["shadows"])]


def names(models: list[dict]) -> list[str]:
    """Models or trainings in a word each, in order."""
    return ["/".join(map(str, one.values())) for one in models]
