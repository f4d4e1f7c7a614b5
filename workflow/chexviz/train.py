"""Train a federation of sites in one process; a federation of one site is its baseline."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch

from chexviz import device, models
from chexviz.aggregate import average
from chexviz.checkpoint import Checkpoint, fingerprint
from chexviz.dataset import load_dataset
from chexviz.errors import run
from chexviz.files import replacing
from chexviz.local import LocalSite
from chexviz.progress import Progress


def federate(
    sites: list[LocalSite], settings: Mapping, checkpoint: Checkpoint, label: str
) -> tuple[dict[str, torch.Tensor], list[dict]]:
    """Run all rounds: every site trains locally, the server averages, the average goes back.

    sites: in the order of the sum; all representation blocks equal at the start. settings: rounds,
    local_epochs, average. Gives the averaged representation block, which is also in every site's
    model, and the history, a row per round and site. Goes on from the checkpoint if there is one.
    """
    history, first = restore(sites, checkpoint)
    rounds, epochs = settings["rounds"], settings["local_epochs"]
    weights = [len(site.data) if settings["average"] == "size" else 1 for site in sites]
    with Progress(label, total=rounds, unit="round", start=first) as progress:
        for number in range(first, rounds):
            for site in sites:
                steps = [site.train(number * epochs + epoch) for epoch in range(epochs)]
                history.append(
                    {
                        "round": number + 1,
                        "site": site.data.site,
                        "learning_rate": steps[-1][1],
                        "loss": sum(loss for loss, _ in steps) / epochs,
                        "images": len(site.data) * epochs,
                    }
                )
            shared = average([site.model.representation.state_dict() for site in sites], weights)
            for site in sites:
                site.model.representation.load_state_dict(shared)
            checkpoint.save_if_due(state_of(sites, history))
            progress.step(loss=sum(row["loss"] for row in history[-len(sites) :]) / len(sites))
    return sites[0].model.representation.state_dict(), history


def state_of(sites: list[LocalSite], history: list[dict]) -> dict:
    """All that a run needs to go on after its last round."""
    return {
        "history": history,
        "representation": sites[0].model.representation.state_dict(),
        "sites": {
            site.data.site: {
                "task": site.task.state_dict(),
                "optimizer": site.optimizer.state_dict(),
            }
            for site in sites
        },
    }


def restore(sites: list[LocalSite], checkpoint: Checkpoint) -> tuple[list[dict], int]:
    """Put the sites into the checkpoint's state; gives the history and the first round to do."""
    state = checkpoint.load()
    if state is None:
        return [], 0
    for site in sites:
        site.model.representation.load_state_dict(state["representation"])
        site.task.load_state_dict(state["sites"][site.data.site]["task"])
        site.optimizer.load_state_dict(state["sites"][site.data.site]["optimizer"])
    return state["history"], state["history"][-1]["round"]


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", required=True, choices=models.ARCHITECTURES)
    parser.add_argument("--site", nargs="+", required=True, help="names; one alone is a baseline")
    parser.add_argument("--images", nargs="+", required=True, type=Path, help="a file per site")
    parser.add_argument("--samples", nargs="+", required=True, type=Path, help="a file per site")
    parser.add_argument("--split", required=True, type=Path)
    parser.add_argument(
        "--weights", nargs="?", type=Path, help="initial representation block; else random"
    )
    parser.add_argument("--task", nargs="*", type=Path, help="initial task block per site")
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--settings", required=True, type=json.loads)
    parser.add_argument("--checkpoint", required=True, type=Path)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--history", required=True, type=Path)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    settings = arguments.settings
    where = device.choose(settings["threads"])
    sites = []
    for number, site in enumerate(arguments.site):
        data = load_dataset(
            site,
            arguments.images[number],
            arguments.samples[number],
            arguments.split,
            ["train"],
            where,
        )
        task = arguments.task[number] if arguments.task else None
        model = models.initial(
            arguments.architecture, site, arguments.seed, arguments.weights, task
        )
        epochs = settings["rounds"] * settings["local_epochs"]
        sites.append(LocalSite(data, model, settings, epochs=epochs, seed=arguments.seed))
    inputs = [*arguments.images, *arguments.samples, arguments.split]
    inputs += [arguments.weights] if arguments.weights else []
    inputs += arguments.task or []
    about = {
        "architecture": arguments.architecture,
        "sites": arguments.site,
        "seed": arguments.seed,
        "settings": settings,
    }
    checkpoint = Checkpoint(arguments.checkpoint, fingerprint("train", about, inputs))
    # Several protocols train side by side; the split's name tells their lines apart.
    label = (
        f"train {arguments.architecture} on {' + '.join(arguments.site)}, {arguments.split.stem}"
    )
    representation, history = federate(sites, settings, checkpoint, label)
    write(arguments, sites, representation, history, about)
    checkpoint.remove()


def write(
    arguments: argparse.Namespace,
    sites: list[LocalSite],
    representation: Mapping[str, torch.Tensor],
    history: list[dict],
    about: Mapping,
) -> None:
    """Write the model (the representation block and every site's task block) and its history."""
    tensors = {f"representation.{name}": tensor for name, tensor in representation.items()}
    for site in sites:
        tensors |= {
            f"tasks.{site.data.site}.{name}": tensor
            for name, tensor in site.task.state_dict().items()
        }
    with replacing(arguments.history) as temporary:
        pd.DataFrame(history).to_csv(temporary, index=False, lineterminator="\n")
    models.save(arguments.model, tensors, **about)


if __name__ == "__main__":
    run(main)
