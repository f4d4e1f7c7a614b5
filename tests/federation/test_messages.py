"""All that leaves a site, byte by byte as it is encrypted, and what of it lies at the server."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from flwr.app import Message
from flwr.common.serde import message_from_proto
from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.proto.message_pb2 import PullObjectRequest, PullObjectResponse, PushObjectRequest
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects

from chexviz.federation import checkpoint
from chexviz.federation.network.content import opened
from chexviz.federation.network.messages import FINISH, NUMBERS, ROUND, START, Content, record
from chexviz.federation.network.superlink import DATABASE
from chexviz.models.dataset import to_unit
from chexviz.models.files import load
from deployment import HERE, Deployment
from trainings import LABELLED

SITE = "south"
WINDOW = 32  # bytes of a tensor or an image that are searched for
PIECES = 4  # of each, at least where it is large enough
LABELS = 24  # one after another that are searched for
TYPES = ("uint8", "int32", "int64", "float32", "float64")


class Request(NamedTuple):
    """What a site sent, and what it was answered. path: of the URL."""

    path: str
    head: bytes
    body: bytes
    answer: bytes


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, three_sites, study) -> Iterator[Deployment]:
    """A finished run, the requests of the site in the folder `recorded`."""
    folder = tmp_path_factory.mktemp("spoken")
    with Deployment(folder, three_sites, [*LABELLED]) as made:
        (folder / "recorded").mkdir()
        made.programs_of[SITE] = [str(HERE / "recorded.py"), str(folder / "recorded")]
        made.start_missing()
        coordinator = made.coordinate(folder / "coordinator", study)
        made.succeed(coordinator)
        yield made


@pytest.fixture(scope="module")
def requests(recorded) -> list[Request]:
    found = []
    for path in sorted((recorded.folder / "recorded").glob("*.request")):
        head, _, body = path.read_bytes().partition(b"\n\n")
        url = head.split(b"\n")[0].decode().split(" ")[1]
        answer = path.with_suffix(".answer").read_bytes()
        found.append(Request("/" + url.split("/", 3)[3], head, body, answer))
    return found


def names(images: Path) -> list[bytes]:
    """All names of files, images and patients of the site, and where its files lie."""
    samples = pd.read_csv(images / SITE / "samples.csv", dtype=str)
    columns = ("image", "file", "patient", "sha256", "phash")
    found = [str(images), *(value for name in columns for value in samples[name])]
    return [one.encode() for one in found]


def windows(values: np.ndarray) -> list[bytes]:
    """Pieces from all over an array that no other has by chance: not of one byte alone."""
    raw = values.tobytes()
    starts = range(0, len(raw) - WINDOW + 1, WINDOW)
    pieces = [raw[start : start + WINDOW] for start in starts]
    telling = [piece for piece in pieces if len(set(piece)) > 4]
    return telling[:: max(1, len(telling) // PIECES)]


def pictures(images: Path) -> list[bytes]:
    """Parts of each of the site's images, as they are stored and as they are trained on."""
    pixels = np.load(images / SITE / "images.npy")
    units = to_unit(torch.from_numpy(pixels)).numpy()
    return [piece for values in (pixels, units) for image in values for piece in windows(image)]


def labels(images: Path) -> list[bytes]:
    """The labels of the site's training images, of all its images, and of their patients."""
    split = pd.read_csv(images / SITE / "split.csv")
    column = f"label_{LABELLED[SITE][0]}"
    found = []
    for values in (split[column], split[column][split["subset"] == "train"]):
        some = values.to_numpy()[:LABELS]
        found += [some.astype(name).tobytes() for name in TYPES]
        found += [sign.join(map(str, some)).encode() for sign in (",", ", ", "\n")]
    return found


def private(folder: Path) -> list[bytes]:
    """What a site keeps for itself: its task block, and the moments of its optimiser."""
    model, _ = load(folder / "model.safetensors")
    tensors = [tensor for name, tensor in model.items() if name.startswith("tasks.")]
    for path in folder.glob("round*.state"):
        site = checkpoint.read(path)["site"]
        tensors += [one for name, one in site["model"].items() if name.startswith("tasks.")]
        tensors += within(site["optimizer"])
    return [piece for tensor in tensors for piece in windows(tensor.numpy())]


def within(state: object) -> list[torch.Tensor]:
    """The tensors of a state."""
    if isinstance(state, torch.Tensor):
        return [state]
    if isinstance(state, dict):
        state = list(state.values())
    return [one for part in state for one in within(part)] if isinstance(state, list) else []


def shared(folder: Path) -> list[bytes]:
    """The representation block that the site sent last."""
    (*_, last) = sorted(folder.glob("round*.state"))
    vectors = checkpoint.read(last)["reply"][0]
    return windows(vectors[0].numpy())


def found(pieces: list[bytes], sent: bytes) -> list[bytes]:
    assert pieces
    return [piece for piece in pieces if piece in sent]


def kept(recorded: Deployment, study) -> Path:
    return recorded.state(SITE) / study.digest[:16]


def test_what_leaves_a_site_is_its_block_and_nothing_of_its_own(
    recorded, requests, study, three_sites
):
    sent = b"\n".join(part for request in requests for part in (request.head, request.body))
    block = shared(kept(recorded, study))
    assert found(block, sent) == block  # so what is sent can be found
    assert found(names(three_sites), sent) == []
    assert found(pictures(three_sites), sent) == []
    assert found(labels(three_sites), sent) == []
    assert found(private(kept(recorded, study)), sent) == []


def test_the_superlink_keeps_nothing_of_a_site_s_own(recorded, study, three_sites):
    """Nor do the coordinator's files and logs, of which the database has what was deleted too."""
    files = [recorded.folder / f"{DATABASE}{suffix}" for suffix in ("", "-wal")]
    files += [recorded.folder / "link.log", *recorded.folder.glob("coordinator*.log")]
    files += list((recorded.folder / "coordinator").iterdir())
    stored = b"\n".join(path.read_bytes() for path in files if path.exists())
    assert recorded.access.address.encode() in stored
    assert found(names(three_sites), stored) == []
    assert found(pictures(three_sites), stored) == []
    assert found(labels(three_sites), stored) == []
    assert found(private(kept(recorded, study)), stored) == []


def messages(requests: list[Request], rounds: int) -> Iterator[Message]:
    """What the site has answered.

    What the SuperLink has already, a site does not send again: so it is with the end of a study,
    which all sites say in the same words.
    """
    end = get_all_nested_objects(record(Content({"round": rounds})))
    objects = {name: one.deflate() for name, one in end.items()}
    for request in requests:
        if request.path.endswith("push-object"):
            pushed = PushObjectRequest.FromString(request.body)
            objects[pushed.object_id] = pushed.object_content
        if request.path.endswith("pull-object"):
            pulled = PullObjectResponse.FromString(request.answer)
            wanted = PullObjectRequest.FromString(request.body)
            objects[wanted.object_id] = pulled.object_content
    for request in requests:
        if request.path.endswith("push-messages"):
            pushed = PushMessagesRequest.FromString(request.body)
            for proto, tree in zip(pushed.messages_list, pushed.message_object_trees, strict=True):
                yield opened(message_from_proto(proto), tree, dict(objects))


def test_every_message_of_a_site_says_what_it_may_and_no_more(requests, study, recorded):
    rounds = study.settings["rounds"]
    said = [*messages(requests, rounds)]
    kinds = [message.metadata.message_type for message in said]
    assert kinds == [START, *[ROUND] * rounds, FINISH]
    length = len(checkpoint.read(kept(recorded, study) / f"round{rounds}.state")["reply"][0][0])
    for message in said:
        kind, content = message.metadata.message_type, message.content
        assert set(content["numbers"]) == NUMBERS[kind][1]
        assert set(content) == ({"numbers", "vectors"} if kind == ROUND else {"numbers"})
        if kind == ROUND:  # the update, and the control variate of its parameters
            update, control = (one.numpy() for one in content["vectors"].values())
            assert update.shape == (length,)
            assert control.size <= length
