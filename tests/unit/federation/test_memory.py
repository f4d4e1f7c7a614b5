"""The memory that training takes is known, and asked for before it starts."""

import pytest
import torch

from chexviz.base.errors import InputError
from chexviz.federation import memory, train
from chexviz.models.device import computes_bfloat16
from chexviz.models.model import build
from trainings import arguments, dataset

BATCH = 8


@pytest.fixture
def sites(federation):
    made = [dataset(federation, name, "train") for name in ("north", "south")]
    for data in made:
        data.images.pixels = None
    return made


def needed() -> int:
    """Bytes of training alone, as the error states them to be too much."""
    model = build("standard", {"north": ["a"]}, seed=1)
    return memory.party_bytes(model) * 2 + memory.step_bytes(model, 32, "float32") * BATCH


def make_room(sites, free):
    memory.make_room(sites, build("standard", {"north": ["a"]}, seed=1), BATCH, "float32", free)


def resident(sites):
    return [data.images.pixels is not None for data in sites]


def test_images_are_resident_where_they_fit_and_streamed_elsewhere(sites, capsys):
    images = sum(len(data) for data in sites) * 32 * 32
    memory.keep_images(sites, 5000, 5000 + images - 1)
    assert resident(sites) == [False, False]
    assert "read as they are needed" in capsys.readouterr().err
    memory.keep_images(sites, 5000, 5000 + images)
    assert resident(sites) == [True, True]


def test_images_are_not_copied_on_a_cpu(sites, capsys):
    make_room(sites, 2**40)
    assert resident(sites) == [False, False]
    assert not capsys.readouterr().err


def test_the_error_names_the_batch_that_fits(sites):
    make_room(sites, needed())
    with pytest.raises(InputError, match="batches of 8") as caught:
        make_room(sites, needed() - 1)
    fits = int(str(caught.value).split("training: batch: ")[1].split()[0])
    assert fits == BATCH - 1
    with pytest.raises(InputError, match="a device with more memory"):
        make_room(sites, 1000)


def test_resident_training_gives_the_bytes_of_streamed_training(federation, monkeypatch):
    train.main(arguments(federation, ["north", "south"], "streamed"))
    kept = []

    def keep(datasets, *_, **__):
        for data in datasets:
            data.images.make_resident()
        kept.extend(resident(datasets))

    monkeypatch.setattr(train, "make_room", keep)
    train.main(arguments(federation, ["north", "south"], "resident"))
    assert kept == [True, True]
    one, other = (
        (federation / f"{name}.safetensors").read_bytes() for name in ("resident", "streamed")
    )
    assert one == other


@pytest.mark.parametrize("architecture", ["standard", "densenet121"])
def test_what_is_saved_for_the_backward_pass_grows_with_the_image(architecture):
    """Both networks are convolutional: four times the pixels, four times the memory."""
    model = build(architecture, {"north": ["a"]}, seed=1)
    small, large = (memory.step_bytes(model, size, "float32") for size in (64, 128))
    assert large / small == pytest.approx(4, rel=0.05)
    # At least the output of the first convolution, in float32.
    assert small > 32 * 64 * 64 * 4 / (1 if architecture == "standard" else 2)


def test_half_as_much_is_saved_in_bfloat16():
    model = build("standard", {"north": ["a"]}, seed=1)
    half, whole = (memory.step_bytes(model, 64, name) for name in ("bfloat16", "float32"))
    if computes_bfloat16(torch.device("cpu")):
        assert half / whole == pytest.approx(0.5, rel=0.2)
    else:  # oneDNN does not pool then; PyTorch does, and keeps an int64 for each maximum
        assert half / whole == pytest.approx(0.65, rel=0.02)


def test_a_limit_of_the_job_counts(tmp_path, monkeypatch):
    assert 0 < memory.free_bytes(torch.device("cpu")) < 2**63
    monkeypatch.setattr(memory, "job_limits", lambda: [12345])
    assert memory.free_bytes(torch.device("cpu")) == 12345


@pytest.mark.parametrize(
    ("line", "group", "names", "count"),
    [
        ("0::/job", "job", ("max", "current"), "inactive_file 100"),
        (
            "4:memory:/job",
            "memory/job",
            ("limit_in_bytes", "usage_in_bytes"),
            "inactive_file 1\ntotal_inactive_file 100",
        ),
    ],
)
def test_control_groups_of_both_versions_limit_without_the_pages_of_files(
    tmp_path, line, group, names, count
):
    (tmp_path / "proc/self").mkdir(parents=True)
    assert memory.job_limits(tmp_path) == [2**63]
    (tmp_path / "proc/self/cgroup").write_text(f"9:name=systemd:/\n{line}/step\n")
    for folder, limit in ((group, "5000"), (f"{group}/step", "4000")):
        inside = tmp_path / "sys/fs/cgroup" / folder
        inside.mkdir(parents=True)
        for name, value in zip(names, (limit, "3000"), strict=True):
            (inside / f"memory.{name}").write_text(f"{value}\n")
        (inside / "memory.stat").write_text(f"{count}\n")
    assert memory.job_limits(tmp_path) == [2**63, 1100, 2100]
    (inside / f"memory.{names[0]}").write_text("max\n" if names[0] == "max" else f"{2**62}\n")
    assert min(memory.job_limits(tmp_path)) == 2100
