"""What travels between the coordinator and a site, and nothing else: a study, numbers, vectors.

A message is one of four kinds. `START`: the study and its first representation block; a site
answers how many images it trains on. `WARMUP`: the average of a head that all share, before the
first round; a site answers its own after an epoch. `ROUND`: the average; a site answers its update.
`FINISH`: the last average; a site answers the tables that its operator shares.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from torch import Tensor

from chexviz.base.errors import InputError
from chexviz.base.settings import Settings, read
from chexviz.federation.methods import read_training
from chexviz.federation.settings import Training
from chexviz.federation.warmup import Warmup

# Flower's own names of what a message is for, each with ours.
START, WARMUP, ROUND, FINISH = "query.start", "train.warmup", "train.round", "evaluate.finish"
NUMBERS = {  # of a message to a site, and of its answer
    START: ({"round"}, {"round", "size", "known"}),
    WARMUP: ({"round"}, {"round", "loss"}),  # of its epochs
    # counted: the last round of each site that counted, in the order of the study; 0: none.
    ROUND: ({"round", "counted"}, {"round", "learning_rate", "loss", "images", "epsilon"}),
    FINISH: ({"round"}, {"round"}),
}
Numbers = Mapping[str, int | float | Sequence[int] | Sequence[float]]


class Study(Settings, frozen=True):
    """What is trained, the same for the coordinator and all sites.

    protocol: of the splits. findings: of each site, in the order of the sums. settings: of a
    Training. warmup: of a Warmup, by which heads start, a site's own at the site and a shared one
    by all together; None: at random.
    """

    protocol: str
    architecture: str
    findings: dict[str, list[str]]
    seed: int
    settings: dict[str, Any]
    warmup: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """The study as one line of JSON, the same for the same study."""
        return json.dumps({name: getattr(self, name) for name in self.__struct_fields__})

    @property
    def digest(self) -> str:
        """SHA-256 of that."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def training(self) -> Training:
        """How it is trained. Raises InputError."""
        return read_training(json.dumps(self.settings))

    @property
    def shared_warmup(self) -> bool:
        """Whether the sites warm up a head together."""
        return self.warmup is not None and self.training().method.heads != "private"

    def head_warmup(self) -> Warmup | None:
        """How heads are warmed up. Raises InputError, also if privacy would not cover it."""
        if self.warmup is not None and self.training().method.privacy:
            raise odd("the coordinator", "no warm-up in a study with `privacy`", "one")
        return None if self.warmup is None else read(json.dumps(self.warmup), Warmup)


def all_findings(study: Study) -> list[str]:
    """The findings of a head that all sites share, in the order of its logits."""
    return [*dict.fromkeys(one for own in study.findings.values() for one in own)]


class Content(NamedTuple):
    """What a message says.

    study: of messages to a site alone. numbers: by name, see NUMBERS. vectors: float32 (p,) each.
    tables: CSV by file name, of answers to FINISH alone.
    """

    numbers: Numbers
    vectors: Sequence[Tensor] = ()
    study: Study | None = None
    tables: Mapping[str, str] = {}


def record(content: Content) -> RecordDict:
    """The content as Flower carries it. One array a vector: hundreds take six times as long."""
    made = RecordDict({"numbers": MetricRecord(dict(content.numbers))})  # type: ignore[arg-type]
    if content.study:
        made["study"] = ConfigRecord({"json": content.study.text})
    if content.vectors:
        arrays = [Array(vector.numpy(force=True)) for vector in content.vectors]
        made["vectors"] = ArrayRecord({str(number): one for number, one in enumerate(arrays)})
    if content.tables:
        made["tables"] = ConfigRecord(dict(content.tables))
    return made


def content_of(message: Message, sender: str) -> Content:
    """What a message says, checked; `sender` is the coordinator, or a site.

    Raises InputError naming the sender if it says anything else, or says it in another form.
    """
    kind, said = message.metadata.message_type, message.content
    if kind not in NUMBERS:
        raise odd(sender, f"one of the messages {', '.join(NUMBERS)}", kind)
    to_site = "study" in said.config_records
    optional = {"tables"} if kind == FINISH and not to_site else {"study"}
    numbers = dict(said.metric_records.get("numbers", {}))
    wanted = NUMBERS[kind][0 if to_site else 1]
    unknown = set(said) - {"numbers", "vectors", *optional}
    if unknown or set(numbers) != wanted:
        found = ", ".join(sorted({*map(str, unknown), *map(str, numbers)})) or "nothing"
        raise odd(sender, f"{', '.join(sorted(wanted))} in {kind}", found)
    return Content(
        numbers,
        [vector(one, sender) for one in said.array_records.get("vectors", {}).values()],
        read(str(said.config_records["study"].get("json")), Study, "study") if to_site else None,
        {name: str(text) for name, text in said.config_records.get("tables", {}).items()},
    )


def vector(array: Array, sender: str) -> Tensor:
    """An array as float32 (p,), its own copy; nothing in it is run. Raises InputError."""
    try:
        values = array.numpy()
    except (TypeError, ValueError) as error:
        raise odd(sender, "float32 vectors", str(error)) from None
    if values.dtype != np.float32 or values.ndim != 1:
        raise odd(sender, "float32 vectors", f"{values.shape} of {values.dtype}")
    return torch.from_numpy(values.copy())


def check_vectors(sender: str, vectors: Sequence[Tensor], lengths: Sequence[int]) -> None:
    """Raise InputError naming the sender unless vectors have these lengths, and finite values."""
    found = [len(one) for one in vectors]
    if found != list(lengths):
        raise odd(sender, f"vectors of {list(lengths)} numbers", str(found))
    for one in vectors:
        if len(one) and not torch.isfinite(torch.stack(torch.aminmax(one))).all():
            raise odd(sender, "finite values", f"{(~torch.isfinite(one)).sum()} that are not")


def odd(sender: str, expected: str, found: str) -> InputError:
    """The error of a message that cannot be used."""
    return InputError(
        f"message of {sender}",
        expected=expected,
        found=found,
        fix="run the same version of the code at the coordinator and every site",
    )
