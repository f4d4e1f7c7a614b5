"""A federation over a network against the one in a process: the same bits, whatever is lost."""

import json
import math
import threading
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
import torch
from flwr.app import Array, ArrayRecord

from chexviz.base.errors import InputError
from chexviz.base.methods import DEFAULTS
from chexviz.base.tables.study import DUPLICATES
from chexviz.federation import checkpoint, methods, train, warmup
from chexviz.federation.checkpoint import Checkpoint
from chexviz.federation.exchange import batchnorm_names
from chexviz.federation.network import post
from chexviz.federation.network.coordinator import Coordinator, Rules
from chexviz.federation.network.credentials import create
from chexviz.federation.network.kept import NOISE, noise_secret
from chexviz.federation.network.messages import FINISH, NUMBERS, ROUND, START, WARMUP, Study
from chexviz.federation.rounds import Federation
from chexviz.federation.server import joined
from chexviz.models.files import load
from chexviz.models.model import build
from memory_grid import MemoryGrid, participant
from trainings import (
    LABELLED,
    METHODS,
    SETTINGS,
    arguments,
    changes_of,
    dataset,
    files,
    learning,
    local_site,
    settings_of,
)

NAMES = ["north", "south"]
RULES = Rules(quorum=None, deadline=None, largest_step=10.0)
SHARED = {"shared": {"algorithm": "fedavg", "heads": "shared"}}
EVERY = METHODS | SHARED | {"shared scaffold": {"algorithm": "scaffold", "heads": "shared"}}


@pytest.fixture(autouse=True)
def no_rest(monkeypatch):
    """A message that is lost here is lost once."""
    monkeypatch.setattr(post, "SECONDS_BETWEEN_ASKS", 0.0)


def study_of(
    method: dict, architecture: str = "standard", warmup: dict | None = None, **changes
) -> Study:
    return Study(
        protocol="paper",
        architecture=architecture,
        findings={name: LABELLED[name] for name in NAMES},
        seed=1,
        settings=SETTINGS | changes_of(method, **changes),
        warmup=warmup,
    )


def in_process(folder, method: dict, **changes) -> Federation:
    settings = settings_of(**changes_of(method, **changes))
    algorithm = methods.ALGORITHMS[method["algorithm"]]
    data = algorithm.gather([dataset(folder, name, "train") for name in NAMES], settings.method)
    sites = [local_site(one, **changes_of(method, **changes)) for one in data]
    for site in sites:
        site.epochs = settings.rounds * len(algorithm.phases(settings))
    made = Federation(sites, settings, algorithm(settings, sites))
    made.train(Checkpoint(folder / "none", "x"), "test", threading.Event())
    return made


def block(study: Study) -> dict:
    heads = {"north": ["pneumonia"]}
    return build(study.architecture, heads, study.seed).representation.state_dict()


def grid_of(folder, state: str = "state", **options) -> MemoryGrid:
    return MemoryGrid({name: participant(folder, name, state, **options).answer for name in NAMES})


def coordinate(folder, study: Study, grid: MemoryGrid, rules: Rules = RULES, stop=None):
    coordinator = Coordinator(study, rules, grid, grid.nodes, stop or threading.Event(), study.seed)
    return coordinator.run(block(study), Checkpoint(folder / "server", study.digest))


def model_of(folder, study: Study, state: str = "state") -> dict:
    """The model that a workflow gets, joined of what the sites wrote."""
    states = {
        name: load(folder / state / name / study.digest[:16] / "model.safetensors")[0]
        for name in NAMES
    }
    own = study.training().method.batchnorm == "local"
    representation = build(study.architecture, {"x": ["y"]}, 1).representation
    return joined(states, batchnorm_names(representation) if own else [])


def assert_same(ours: dict, theirs: dict) -> None:
    for name, tensor in theirs.items():
        if tensor.is_floating_point():
            assert torch.equal(ours[name], tensor), name


@pytest.mark.parametrize("name", EVERY)
def test_every_method_gives_the_bits_of_the_federation_in_a_process(federation, name):
    study, whole = study_of(EVERY[name]), in_process(federation, EVERY[name])
    server = coordinate(federation, study, grid_of(federation))
    assert torch.equal(server.shared, whole.server.shared)
    assert server.history == whole.server.history
    assert_same(model_of(federation, study), whole.tensors())


PRIVATE = {
    **{"algorithm": "fedavg", "batchnorm": "frozen"},
    "privacy": {"epsilon": 3.0, "delta": 1e-3, "clip": 1.0},
}
SITES_PRIVATE = PRIVATE | {
    **{"heads": "shared", "weights": "uniform"},
    "privacy": PRIVATE["privacy"] | {"unit": "site"},
}


def test_privacy_gives_the_bits_of_one_process_to_sites_that_draw_as_it(federation):
    pairs = federation / "duplicates.csv"
    DUPLICATES.write(pd.DataFrame(columns=[*DUPLICATES.names]), pairs)
    study = study_of(PRIVATE)
    for name in NAMES:
        own = federation / "state" / name / study.digest[:16]
        own.mkdir(parents=True)
        create({own / NOISE: b"1"})  # the seed of the study
    grid = grid_of(federation, duplicates=pairs)
    server = coordinate(federation, study, grid)
    words = arguments(federation, NAMES, "private", **changes_of(PRIVATE))
    train.main([*words, f"--duplicates={pairs}"])
    assert_same(model_of(federation, study), load(federation / "private.safetensors")[0])
    told = [one.content["numbers"] for one in grid.seen if one.metadata.message_type == ROUND]
    told = [one for one in told if "loss" in one]
    assert len(told) == 2 * 3
    assert all(math.isnan(one["loss"]) for one in told)
    assert server.privacy("secret")["privacy"]["epsilon"] == max(one["epsilon"] for one in told)


def test_noise_of_the_server_gives_the_bits_of_one_process_if_it_draws_as_it(federation):
    study = study_of(SITES_PRIVATE)
    server = coordinate(federation, study, grid_of(federation))
    whole = in_process(federation, SITES_PRIVATE)
    assert_same(model_of(federation, study), whole.tensors())
    assert server.history == whole.server.history
    assert server.privacy("secret")["privacy"]["unit"] == "site"
    grid = grid_of(federation, "other")
    other = Coordinator(study, RULES, grid, grid.nodes, threading.Event(), secret=2)
    other = other.run(block(study), Checkpoint(federation / "elsewhere", study.digest))
    assert abs(np.corrcoef(other.shared, server.shared)[0, 1]) < 0.1  # nearly all is noise


def test_a_far_step_is_shortened_where_the_server_adds_noise_and_refused_elsewhere(federation):
    """Whether it was far is nobody's business: it is not told by a round without the site."""
    rules = Rules(quorum=None, deadline=None, largest_step=1e-9)
    server = coordinate(federation, study_of(SITES_PRIVATE), grid_of(federation), rules)
    assert [row["site"] for row in server.history] == NAMES * 3
    with pytest.raises(InputError, match="largest_step"):
        coordinate(federation, study_of(METHODS["fedavg"]), grid_of(federation), rules)


@pytest.mark.parametrize("method", [PRIVATE, SITES_PRIVATE])
def test_a_private_study_with_a_warm_up_without_noise_is_refused(federation, method):
    study = study_of(method, warmup=warmup_of(method))
    with pytest.raises(InputError, match="no warm-up in a study with `privacy`"):
        study.head_warmup()


def test_a_site_draws_its_noise_from_a_secret_that_it_makes_once(tmp_path):
    """The coordinator knows the seed of a study; with it, it could take the noise away."""
    secret = noise_secret(tmp_path / "one")
    assert secret.bit_length() > 200
    assert noise_secret(tmp_path / "one") == secret != noise_secret(tmp_path / "other")
    (tmp_path / "one" / NOISE).chmod(0o644)
    with pytest.raises(InputError, match=NOISE):
        noise_secret(tmp_path / "one")


def warmed_up_in_a_process(folder, method: dict, heads: list[list[str]], **changes) -> dict:
    """The model of a federation in a process whose heads, each of some sites, are warmed up."""
    settings = warmup_of(method)
    tasks = []
    for names in heads:
        tasks.append(str(folder / f"{'+'.join(names)}.task.safetensors"))
        line = ["--architecture=densenet121", "--seed=1", f"--task={tasks[-1]}"]
        line += [*learning(names), *files(folder, names), f"--settings={json.dumps(settings)}"]
        warmup.main(line)
    line = arguments(folder, NAMES, "whole", **changes_of(method, **changes))
    line[line.index("--architecture=standard")] = "--architecture=densenet121"
    train.main([*line, "--task", *tasks])
    return load(folder / "whole.safetensors")[0]


def warmup_of(method: dict) -> dict:
    how = {"algorithm": "fedavg"} | DEFAULTS | {"heads": method.get("heads", "private")}
    return {"batch": 8, "threads": 1, "epochs": 3, "learning_rate": 1e-3, "method": how}


def test_densenet_warms_up_its_heads_at_their_sites_to_the_same_bits(federation):
    method = METHODS["fedbn"]
    whole = warmed_up_in_a_process(federation, method, [["north"], ["south"]], rounds=2)
    study = study_of(method, "densenet121", warmup_of(method), rounds=2)
    coordinate(federation, study, grid_of(federation))
    assert_same(model_of(federation, study), whole)


def test_a_shared_head_is_warmed_up_together_to_the_same_bits_whatever_is_killed(federation):
    method = SHARED["shared"]
    whole = warmed_up_in_a_process(federation, method, [NAMES], rounds=1)
    study = study_of(method, "densenet121", warmup_of(method), rounds=1)
    grid, count = grid_of(federation), [0]

    def lose(site: str, message) -> bool:
        count[0] += 1
        if count[0] % 4:
            return False
        grid.sites[site](message)
        grid.sites[site] = participant(federation, site).answer
        return True

    grid.lose = lose
    server = None
    while server is None:
        with suppress(SystemExit):
            server = coordinate(federation, study, grid, stop=Impatient(threading.Event(), 8))
    assert_same(model_of(federation, study), whole)
    said = {one.metadata.message_type for one in grid.seen}
    assert said == {START, WARMUP, ROUND, FINISH}


@pytest.mark.parametrize("name", ["fedavg", "scaffold", "fedadam", "fedbn", "shared"])
def test_the_bits_stay_the_same_whatever_is_killed(federation, name):
    """Before every third message a site is replaced by a new process, and the message is lost; the
    coordinator is stopped after every round."""
    study, whole = study_of(EVERY[name]), in_process(federation, EVERY[name])
    count, stop = [0], threading.Event()
    grid = grid_of(federation)

    def lose(site: str, message) -> bool:
        count[0] += 1
        if count[0] % 3:
            return False
        if count[0] % 2:  # killed after it had trained: its answer is lost, and given again
            grid.sites[site](message)
        grid.sites[site] = participant(federation, site).answer
        return True

    grid.lose = lose
    server = None
    while server is None:
        with suppress(SystemExit):
            server = coordinate(federation, study, grid, stop=Impatient(stop, 12))
    assert torch.equal(server.shared, whole.server.shared)
    assert server.history == whole.server.history
    assert_same(model_of(federation, study), whole.tensors())


class Impatient:
    """A request to stop that comes after so many looks, but never before something is done."""

    def __init__(self, event: threading.Event, looks: int):
        self.event, self.left = event, looks

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0

    def wait(self, seconds: float) -> None:
        pass


def test_it_goes_on_after_a_stop_whoever_answers_first(federation):
    study = study_of(METHODS["fedavg"])
    grid = grid_of(federation)
    pull = grid.pull_messages
    grid.pull_messages = lambda ids: pull(list(ids)[::-1])
    with pytest.raises(SystemExit):
        coordinate(federation, study, grid, stop=Impatient(threading.Event(), 2))  # in round 2
    server = coordinate(federation, study, grid)
    assert server.history == in_process(federation, METHODS["fedavg"]).server.history


def test_what_leaves_a_site(federation):
    """All messages of a run: numbers by name and float32 vectors as long as the block, no more."""
    study = study_of(METHODS["fedavg"])
    grid = grid_of(federation)
    server = coordinate(federation, study, grid)
    replies = [one for one in grid.seen if one.metadata.reply_to_message_id]
    assert len(replies) == 2 * (1 + 3 + 1)
    for message in replies:
        kind, said = message.metadata.message_type, message.content
        assert set(said["numbers"]) == NUMBERS[kind][1]
        assert set(said) == ({"numbers", "vectors"} if kind == ROUND else {"numbers"})
        assert all(isinstance(one, int | float | list) for one in said["numbers"].values())
        if kind == ROUND:
            (array,) = said["vectors"].values()
            assert array.numpy().shape == server.shared.shape
            assert set(said["numbers"]) == {"round", "learning_rate", "loss", "images", "epsilon"}
        if kind == START:
            assert said["numbers"]["size"] in (36, 27)
    assert {one.metadata.message_type for one in grid.seen} == {START, ROUND, FINISH}


def test_tables_leave_only_as_the_operator_gives_them(federation):
    study = study_of(METHODS["fedavg"], rounds=1)
    grid = grid_of(federation, tables=lambda model: {"metrics.csv": f"{model.name}\n"})
    coordinator = Coordinator(study, RULES, grid, grid.nodes, threading.Event(), study.seed)
    coordinator.run(block(study), Checkpoint(federation / "server", study.digest))
    assert coordinator.tables == {name: {"metrics.csv": "model.safetensors\n"} for name in NAMES}


def spoiled(answer, spoil, kind: str = ROUND):
    """A site whose answers to one kind of message, its updates, are spoiled."""

    def given(message):
        reply = answer(message)
        if message.metadata.message_type == kind:
            spoil(reply.content)
        return reply

    return given


def put(content, values) -> None:
    content["vectors"] = ArrayRecord({"0": Array(values)})


def first(content):
    return content["vectors"]["0"].numpy().copy()


SPOILS = {
    "finite values": lambda said: put(said, first(said) * float("nan")),
    "vectors of": lambda said: put(said, first(said)[:-1]),
    "float32 vectors": lambda said: put(said, first(said).astype("float64")),
    "largest_step": lambda said: put(said, first(said) * 1e4),
    "finite numbers of round 1": lambda said: said["numbers"].update(loss=float("nan")),
    "found: +round, images, .*: 2, 36": lambda said: said["numbers"].update(round=2, images=36),
    "learning_rate, loss": lambda said: said["numbers"].pop("loss"),
}


@pytest.mark.parametrize("found", SPOILS)
def test_a_bad_update_is_refused_by_name(federation, found, capsys):
    study = study_of(METHODS["fedavg"], rounds=1)
    grid = grid_of(federation)
    grid.sites["south"] = spoiled(grid.sites["south"], SPOILS[found])
    with pytest.raises(InputError, match=rf"(?s)at least 2 of the sites.*south.*{found}"):
        coordinate(federation, study, grid)
    assert "site south has no part in train.round" in capsys.readouterr().err


LIES = {
    "0, \\[1\\]": {"size": 0},
    "-5, \\[1\\]": {"size": -5},
    "27, \\[1, 1\\]": {"known": [1, 1]},
    "27, \\[7\\]": {"known": [7]},
}


@pytest.mark.parametrize("found", LIES)
def test_what_no_site_can_be_is_refused_before_the_first_round(federation, found):
    study, grid = study_of(METHODS["fedavg"], rounds=1), grid_of(federation)
    lie = spoiled(grid.sites["south"], lambda said: said["numbers"].update(LIES[found]), START)
    grid.sites["south"] = lie
    with pytest.raises(InputError, match=rf"(?s)south.*found: +{found}"):
        coordinate(federation, study, grid)


def test_a_site_weighs_what_it_weighed_when_the_study_began(federation):
    study, grid = study_of(METHODS["fedavg"]), grid_of(federation)
    with pytest.raises(SystemExit):
        coordinate(federation, study, grid, stop=Impatient(threading.Event(), 3))
    more = spoiled(grid.sites["south"], lambda said: said["numbers"].update(size=28), START)
    grid.sites["south"] = more
    with pytest.raises(InputError, match=r"27 training images, as when[\s\S]*found: +28"):
        coordinate(federation, study, grid)


def test_the_round_goes_on_where_the_quorum_holds(federation):
    study = study_of(METHODS["fedavg"], rounds=2)
    grid = grid_of(federation)
    grid.sites["south"] = spoiled(grid.sites["south"], SPOILS["finite values"])
    rules = Rules(quorum=1, deadline=None, largest_step=10.0)
    server = coordinate(federation, study, grid, rules)
    assert [(row["round"], row["site"]) for row in server.history] == [(1, "north"), (2, "north")]
    assert torch.isfinite(server.shared).all()


def test_who_is_too_slow_is_left_out_after_the_deadline(federation, capsys):
    study = study_of(METHODS["fedavg"], rounds=1)
    grid = grid_of(federation)
    answers = grid.sites["south"]
    rules = Rules(quorum=1, deadline=1, largest_step=10.0)

    def slow(message):
        if message.metadata.message_type == ROUND:
            grid.there.pop("south", None)
            grid.messages.pop(message.metadata.message_id, None)
            raise KeyError
        return answers(message)

    grid.sites["south"] = slow
    pull = grid.pull_messages
    grid.pull_messages = lambda ids: [
        reply for one in ids if not is_round_of(grid, one, "south") for reply in pull([one])
    ]
    server = coordinate(federation, study, grid, rules)
    assert [row["site"] for row in server.history] == ["north"]
    assert "without south" in capsys.readouterr().err


def test_a_late_answer_counts_for_nothing_and_is_taken_away(federation):
    """Else the SuperLink would keep it, and one more with each round."""
    study = study_of(METHODS["fedavg"], rounds=2)
    grid = grid_of(federation)
    pull = grid.pull_messages

    def asked(message) -> tuple:
        return message.metadata.message_type, message.content["numbers"]["round"]

    def held(one: str) -> bool:
        later = any(asked(message) == (ROUND, 2) for message in grid.seen)
        return is_round_of(grid, one, "south") and not later

    grid.pull_messages = lambda ids: [
        reply for one in ids if not held(one) for reply in pull([one])
    ]
    server = coordinate(federation, study, grid, Rules(quorum=1, deadline=1, largest_step=10.0))
    rows = [(row["round"], row["site"]) for row in server.history]
    assert rows == [(1, "north"), (2, "north"), (2, "south")]
    assert not grid.messages


def test_a_site_takes_back_the_control_variate_of_a_round_that_did_not_count(federation):
    """Else its gradients would be corrected by what the server's mean knows nothing of."""
    study = study_of(METHODS["scaffold"], rounds=3)
    grid = grid_of(federation)
    folder = federation / "state" / "south" / study.digest[:16]
    answer, controls = grid.sites["south"], {}

    def south(message):
        number = message.content["numbers"]["round"]
        reply = answer(message)
        if message.metadata.message_type == ROUND:
            controls[number] = checkpoint.read(folder / f"round{number}.state")["before"]
            if number == 2:
                put(reply.content, first(reply.content) * float("nan"))
        return reply

    grid.sites["south"] = south
    server = coordinate(federation, study, grid, Rules(quorum=1, deadline=None, largest_step=10.0))
    rows = [row["round"] for row in server.history if row["site"] == "south"]
    assert rows == [1, 3]
    begun = {number: one["controls"]["south"] for number, one in controls.items()}
    assert not begun[1].any()
    assert begun[2].any()
    assert torch.equal(begun[3], begun[2])
    assert checkpoint.read(folder / "round3.state")["method"]["controls"]["south"].any()
    assert not torch.equal(server.method.controls["south"], begun[3])


def test_a_site_that_loses_its_state_within_a_run_has_no_part_in_the_next_round(federation, capsys):
    study = study_of(METHODS["fedavg"], rounds=2)
    grid = grid_of(federation)
    folder = federation / "state" / "south" / study.digest[:16]

    def lose(site: str, message) -> bool:
        asked = message.metadata.message_type, message.content["numbers"]["round"]
        if site == "south" and asked == (ROUND, 2):
            (folder / "round1.state").unlink()
            grid.sites["south"] = participant(federation, "south").answer
        return False

    grid.lose = lose
    rules = Rules(quorum=1, deadline=None, largest_step=10.0)
    server = coordinate(federation, study, grid, rules)
    assert [row["round"] for row in server.history if row["site"] == "south"] == [1]
    assert "round 1, the last in which it took part" in capsys.readouterr().err


def is_round_of(grid: MemoryGrid, identity: str, name: str) -> bool:
    message = grid.messages.get(identity)
    if message is None or message.metadata.message_type != ROUND:
        return False
    return grid.names[message.metadata.dst_node_id] == name


def test_a_robust_method_works_over_the_network_and_needs_its_sites(federation):
    method = {"algorithm": "fedavg", "combine": "median"}
    with pytest.raises(InputError, match="at least 3 sites"):
        coordinate(federation, study_of(method), grid_of(federation))


def test_what_needs_all_images_in_one_place_is_refused_before_a_round(federation):
    grid = grid_of(federation)
    with pytest.raises(InputError, match="all images in one place"):
        coordinate(federation, study_of({"algorithm": "pooled"}), grid)
    assert not grid.seen


def test_a_site_that_has_lost_its_state_is_not_averaged_with_another(federation):
    study = study_of(METHODS["fedavg"])
    grid = grid_of(federation)
    with pytest.raises(SystemExit):
        coordinate(federation, study, grid, stop=Impatient(threading.Event(), 3))
    other = grid_of(federation, "lost")
    other.sites["north"] = grid.sites["north"]
    saved = checkpoint.read(federation / "server")
    assert saved["server"]["round"] >= 1
    with pytest.raises(InputError, match=r"(?s)south.*kept of round"):
        coordinate(federation, study, other)


def test_a_run_is_taken_up_in_whatever_order_the_sites_answered(federation):
    study, whole = study_of(METHODS["fedavg"]), in_process(federation, METHODS["fedavg"])
    grid = grid_of(federation)
    pull = grid.pull_messages
    grid.pull_messages = lambda ids: pull(reversed([*ids]))
    with pytest.raises(SystemExit):
        coordinate(federation, study, grid, stop=Impatient(threading.Event(), 3))
    server = coordinate(federation, study, grid)
    assert torch.equal(server.shared, whole.server.shared)


def test_a_damaged_state_is_said_and_the_one_before_it_is_used(federation, capsys):
    study, grid = study_of(METHODS["fedavg"]), grid_of(federation)
    with pytest.raises(SystemExit):
        coordinate(federation, study, grid, stop=Impatient(threading.Event(), 3))
    grid = grid_of(federation)  # new processes
    folder = federation / "state" / "south" / study.digest[:16]
    last = checkpoint.read(federation / "server")["server"]["round"]
    newest = folder / f"round{last}.state"
    newest.write_bytes(newest.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"(?s)south.*its own state of round"):
        coordinate(federation, study, grid)
    assert f"{newest} is damaged and not used" in capsys.readouterr().err


def test_a_study_started_anew_starts_from_the_beginning(federation):
    study, whole = study_of(METHODS["fedavg"]), in_process(federation, METHODS["fedavg"])
    for _ in range(2):
        (federation / "server").unlink(missing_ok=True)
        server = coordinate(federation, study, grid_of(federation))
        assert torch.equal(server.shared, whole.server.shared)


def test_a_study_is_the_same_text_for_the_same_study():
    study = study_of(METHODS["fedavg"])
    assert json.loads(study.text)["findings"] == {name: LABELLED[name] for name in NAMES}
    assert list(json.loads(study.text)["findings"]) == NAMES
    assert study_of(METHODS["fedavg"]).digest == study.digest
    assert study_of(METHODS["fedprox"]).digest != study.digest
