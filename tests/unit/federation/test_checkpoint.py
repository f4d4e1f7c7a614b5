"""Whatever stops a training, it goes on and ends with the bytes of one that nothing stopped.

Here it is a federation of two sites; tests/workflow/test_interrupted.py stops that of one.
"""

import os
import subprocess
import sys

import pytest
import torch

from chexviz.base.errors import InputError
from chexviz.federation import checkpoint, train
from chexviz.federation.checkpoint import Checkpoint
from trainings import arguments

ROUNDS = 16
# Runs trainings in forked children, which need not import anything again. Checkpoints are due at
# every look at the clock.
HARNESS = """
import errno, os, random, resource, signal, sys, time
from pathlib import Path
from chexviz.federation import checkpoint, rounds, train
checkpoint.SECONDS_BETWEEN, checkpoint.SHARE = 0, float("inf")
line, model = sys.argv[1:], next(w for w in sys.argv if w.startswith("--model=")).split("=")[1]

def start(prepare=lambda: None):
    child = os.fork()
    if child == 0:
        try:
            prepare()
            train.main(line)
        except SystemExit as error:
            os._exit(error.code)
        except BaseException as error:
            print(type(error), error, file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return child

def start_and_wait(saves):
    child, seen = start(), set()
    while len(seen) < saves:
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "it was done too early"
        for path in Path(model).parent.glob("broken.checkpoint"):
            seen.add(path.stat().st_mtime_ns)
        time.sleep(0.005)
    return child

def end(child):
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == 0 or not Path(model).exists(), "a stopped run left a model"
    return code
"""


@pytest.fixture(scope="module")
def runs(shared_federation, repository):
    """Runs a program over a training, and compares what comes out with an unbroken one."""
    federation, sites = shared_federation, ["north", "south"]
    train.main(arguments(federation, sites, "whole", rounds=ROUNDS))

    def run(program: str) -> str:
        line = arguments(federation, sites, "broken", rounds=ROUNDS)
        done = subprocess.run(
            [sys.executable, "-c", HARNESS + program, *line],
            env=os.environ | {"PYTHONPATH": str(repository / "workflow")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        for suffix in (".safetensors", ".history.csv"):
            ours, theirs = ((federation / f"{n}{suffix}").read_bytes() for n in ("broken", "whole"))
            assert ours == theirs
            (federation / f"broken{suffix}").unlink()
        assert not list(federation.glob("*checkpoint*"))
        return done.stderr

    return run


def test_killed_at_random_moments(runs):
    """kill -9, ten times each; the delays are shares of what the whole run takes."""
    runs("""
began = time.monotonic()
assert end(start()) == 0
whole, kills = time.monotonic() - began, 0
Path(model).unlink()
random.seed(1)
while kills < 10:
    child = start()
    time.sleep(random.uniform(0, whole / 6))
    os.kill(child, signal.SIGKILL)
    assert end(child) == -signal.SIGKILL, "it was done before it could be killed ten times"
    kills += 1
assert end(start()) == 0
""")


def test_killed_while_a_checkpoint_is_written(runs):
    """After half of the bytes; and between the two renames, when only the previous one is left."""
    said = runs("""
write, rename = checkpoint.write, Path.replace

def half(state, path):
    write(state, path)
    if half.left == 0:
        os.truncate(path, path.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)
    half.left -= 1

def between(path, target):
    rename(path, target)
    if str(target).endswith(".previous"):
        os.kill(os.getpid(), signal.SIGKILL)

def at_half(number):
    half.left, checkpoint.write = number, half

def at_rename():
    Path.replace = between

for number in (0, 1, 3):
    assert end(start(lambda: at_half(number))) == -signal.SIGKILL
for _ in range(3):
    assert end(start(at_rename)) == -signal.SIGKILL
assert end(start()) == 0
""")
    assert "damaged" not in said


def test_asked_to_stop_it_saves_and_says_so_by_its_status(runs):
    said = runs("""
for number in (signal.SIGTERM, signal.SIGINT):
    child = start_and_wait(2)
    os.kill(child, number)
    assert end(child) == rounds.STOPPED == 75
assert end(start()) == 0
""")
    assert said.count("run again to go on") == 2


def test_a_disk_without_room_for_a_checkpoint_stops_nothing(runs):
    """No file may grow beyond half a checkpoint; the model is a third of one."""
    said = runs("""
child = start_and_wait(1)
os.kill(child, signal.SIGTERM)
assert end(child) == 75
size = next(Path(model).parent.glob("broken.checkpoint")).stat().st_size

def limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

assert end(start(limit)) == 0
""")
    assert "File too large; the run goes on" in said


def test_a_damaged_checkpoint_is_named_and_the_previous_one_used(runs):
    said = runs("""
child = start_and_wait(3)
os.kill(child, signal.SIGTERM)
assert end(child) == 75
last = Path(model).with_name("broken.checkpoint")
assert last.with_name("broken.checkpoint.previous").exists()
content = bytearray(last.read_bytes())
content[len(content) // 2] ^= 1
last.write_bytes(content)
assert end(start()) == 0
""")
    assert "broken.checkpoint is damaged and not used" in said


def saved(path, fingerprint="one", **state) -> Checkpoint:
    made = Checkpoint(path, fingerprint)
    made.save(state)
    return made


def test_a_checkpoint_of_another_run_is_not_used(tmp_path):
    saved(tmp_path / "c", history=[])
    assert Checkpoint(tmp_path / "c", "one").load({"history": []}) == {"history": []}
    assert Checkpoint(tmp_path / "c", "two").load({"history": []}) is None


def test_two_generations_are_kept_and_removed_together(tmp_path):
    for number in range(3):
        made = saved(tmp_path / "c", number=number)
    assert made.load({"number": 0})["number"] == 2
    (tmp_path / "c").unlink()
    assert made.load({"number": 0})["number"] == 1
    made.save({"number": 3})
    made.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"half a checkpoint", b"x" * 5000])
def test_without_a_whole_one_the_damaged_ones_are_named(tmp_path, content):
    for name in ("c", "c.previous"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"c and .*c\.previous"):
        Checkpoint(tmp_path / "c", "one").load({})


STATE = {
    "round": 1,
    "history": [{"round": 1, "loss": 0.5}],
    "model": {"weight": torch.ones(2, 3), "bias": torch.ones(3)},
    "moments": [torch.ones(2, 3), torch.ones(3)],
}
START = STATE | {"round": 0, "history": []}


class Command:
    """What would run a command if it were unpickled."""

    def __reduce__(self):
        return os.system, ("touch ran",)


FORGED = {
    "a list": ([1, 2], "TypeError"),
    "a command": (STATE | {"round": Command()}, "UnpicklingError"),
    "less": ({"fingerprint": "one"}, "state is entries , not entries round, history"),
    "another tensor": (
        STATE | {"model": {"weight": torch.ones(3, 2), "bias": torch.ones(3)}},
        r"state: model: weight is a tensor \(3, 2\) of torch.float32, not a tensor \(2, 3\)",
    ),
    # Copied into the place of a larger one, it would fill it.
    "a scalar": (STATE | {"moments": [torch.ones(()), torch.ones(3)]}, r"state: moments: 0 is .*"),
    "fewer": (STATE | {"moments": [torch.ones(2, 3)]}, "a list of 1 tensors, not a list of 2"),
    "integers": (
        STATE | {"moments": [torch.ones(2, 3), torch.ones(3, dtype=torch.int8)]},
        r"state: moments: 1 is a tensor \(3,\) of torch.int8",
    ),
    "a text": (STATE | {"round": "1"}, "state: round is a str, not a number"),
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_whole_file_that_is_no_checkpoint_of_this_run_is_refused(tmp_path, monkeypatch, forged):
    """Its digest is right, so somebody has made it."""
    monkeypatch.chdir(tmp_path)
    content, found = FORGED[forged]
    if isinstance(content, dict):
        content = content | {"fingerprint": "one"}
    checkpoint.write(content, tmp_path / "c")
    with pytest.raises(InputError, match=f"found: +.*{found}[\\s\\S]*delete it"):
        Checkpoint(tmp_path / "c", "one").load(START)
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_this_run_may_have_a_longer_history(tmp_path):
    made = saved(tmp_path / "c", **STATE)
    assert made.load(START)["history"] == STATE["history"]


def test_a_pipe_in_the_place_of_a_checkpoint_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "c")
    made = Checkpoint(tmp_path / "c", "one")
    assert made.load(START) is None
    made.save(STATE)
    assert made.load(START)["round"] == 1


def test_saving_takes_a_bounded_share_of_the_time(tmp_path, monkeypatch):
    made = saved(tmp_path / "c")
    assert not made.due()
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0)
    made.cost = 0.0
    assert made.due()
    made.cost = 10.0
    assert not made.due()
    made.saved -= 10.0 / checkpoint.SHARE
    assert made.due()


def test_the_fingerprint_knows_settings_inputs_and_code(tmp_path, monkeypatch):
    (tmp_path / "input").write_text("1")
    first = checkpoint.fingerprint("federation.train", {"rounds": 3}, [tmp_path / "input"])
    assert checkpoint.fingerprint("federation.train", {"rounds": 3}, [tmp_path / "input"]) == first
    assert checkpoint.fingerprint("federation.train", {"rounds": 4}, [tmp_path / "input"]) != first
    (tmp_path / "input").write_text("2")
    assert checkpoint.fingerprint("federation.train", {"rounds": 3}, [tmp_path / "input"]) != first
    (tmp_path / "input").write_text("1")
    monkeypatch.setattr(checkpoint.source_code, "files", lambda entry: [tmp_path / "input"])
    assert checkpoint.fingerprint("federation.train", {"rounds": 3}, [tmp_path / "input"]) != first
