"""What a site's log says of each message, and what it keeps of a study."""

import itertools
import logging

import msgspec
import pytest
import torch
from flwr.app import Message
from flwr.supercore.task_identity import TaskIdentity

from chexviz.base.errors import InputError
from chexviz.federation.network.diary import STUDY, Diary, account, bytes_of
from chexviz.federation.network.messages import (
    FINISH,
    ROUND,
    START,
    Content,
    Study,
    content_of,
    record,
)
from trainings import LABELLED, SETTINGS

SITES = {name: LABELLED[name] for name in ("north", "south")}
STUDIED = Study(
    protocol="paper", architecture="standard", findings=SITES, seed=1, settings=SETTINGS
)


def ask(kind: str, number: int, vectors=()) -> Message:
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 99
    counted = {"counted": [0] * len(SITES)} if kind == ROUND else {}
    content = Content({"round": number} | counted, vectors, STUDIED)
    message = Message(record(content), dst_node_id=1, message_type=kind)
    message.metadata.__dict__["_message_id"] = f"{kind}{number}"
    return message


def answer(message: Message) -> Message:
    content_of(message, "the coordinator")
    said = {
        START: Content({"round": 0, "size": 3, "known": [1]}),
        ROUND: Content(
            {"round": 1, "learning_rate": 0.1, "loss": 0.5, "images": 3}, [torch.zeros(500)]
        ),
        FINISH: Content({"round": 3}),
    }[message.metadata.message_type]
    return Message(record(said), reply_to=message)


@pytest.fixture
def diary(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    ticks = itertools.count(0, 10)
    return Diary(answer, tmp_path, clock=lambda: next(ticks))


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("patient", "private for each patient (epsilon 3, delta 0.001): the site adds the noise"),
        (
            "site",
            "private for each site (epsilon 3, delta 0.001): the server adds the noise",
        ),
    ],
)
def test_the_operator_is_told_whose_privacy_a_study_keeps(unit, said):
    """And so whether the server sees updates without noise."""
    privacy = {"epsilon": 3.0, "delta": 1e-3, "clip": 1.0, "unit": unit}
    how = {"batchnorm": "frozen", "heads": "shared", "weights": "uniform", "privacy": privacy}
    method = STUDIED.settings["method"] | how
    study = msgspec.structs.replace(STUDIED, settings=STUDIED.settings | {"method": method})
    assert said in account(study)
    assert "private" not in account(STUDIED)


def test_a_line_for_each_message_with_bytes_and_time_left(diary, caplog, tmp_path):
    diary.answer(ask(START, 0, [torch.zeros(500)]))
    diary.answer(ask(ROUND, 1, [torch.zeros(500)]))
    diary.answer(ask(FINISH, 3, [torch.zeros(500)]))
    folder = tmp_path / STUDIED.digest[:16]
    assert caplog.messages == [
        f"study {STUDIED.digest[:16]}: standard on north + south by fedavg, protocol paper, seed 1,"
        " 3 rounds",
        "ready for round 1 of 3: 10 s, received 2.1 kB, sent 0 bytes",
        "round 1 begins",
        "round 1 of 3 is over: 10 s, received 2.1 kB, sent 2.1 kB",
        "about 40 s left, if all sites go on as they do",
        f"the last of 3 rounds is over; the model is in {folder}: 10 s, received 2.1 kB, sent "
        "0 bytes",
    ]
    assert (folder / STUDY).read_text() == STUDIED.text


def test_what_cannot_be_answered_is_not_said_to_be(diary, caplog):
    message = ask(ROUND, 1)
    message.content.config_records["study"]["json"] = "{}"
    with pytest.raises(InputError, match="study"):
        diary.answer(message)
    del message.content["study"]
    with pytest.raises(InputError, match="message of the coordinator"):
        diary.answer(message)
    assert not caplog.messages


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (28e6, "28.0 MB")]
)
def test_bytes_as_people_say_them(count, said):
    assert bytes_of(int(count)) == said
