"""ONNX Runtime gives what PyTorch gives: probabilities and maps."""

import math
import zipfile

import numpy as np
import onnx
import pytest
import torch

import made_bundles
from chexviz.base.errors import InputError
from chexviz.data.convert import read_image
from chexviz.inference import export
from chexviz.inference.runtime import BATCH, Runtime
from chexviz.models.gradcam import gradcam
from chexviz.models.model import pooled


def runtime_of(tmp_path, model, bundle) -> Runtime:
    """The model as ONNX Runtime has it."""
    export.write_graph(model, bundle.preprocessing.size, tmp_path / "model.onnx")
    return Runtime((tmp_path / "model.onnx").read_bytes(), bundle, threads=1)


def by_torch(model, images: np.ndarray):
    """Probabilities (n, K) and maps of pneumonia (the mean logit of two heads) and pneumothorax."""
    with torch.no_grad():
        maps = model.representation(torch.from_numpy(images)[:, None] / 255)
        blocks = [model.tasks[head] for head in model.heads]
        logits = torch.cat([block(pooled(maps)) for block in blocks], dim=1)

        def mean(features):
            return (model.tasks["north"](features)[:, 0] + model.tasks["south"](features)[:, 1]) / 2

        pneumonia = gradcam(maps, mean)
        pneumothorax = gradcam(maps, lambda features: model.tasks["south"](features)[:, 0])
    return torch.sigmoid(logits).numpy(), pneumonia.numpy(), pneumothorax.numpy()


def require_equal(model, runtime, images: np.ndarray) -> None:
    """Scores and maps, relative to the largest, differ by less than 1e-4."""
    scores, *maps = by_torch(model, images)
    seen = runtime.run(images, mapped=True)
    columns = [("pneumonia", "north"), ("pneumothorax", "south"), ("pneumonia", "south")]
    for column, head in enumerate(columns):
        np.testing.assert_allclose(seen.scores[head], scores[:, column], rtol=0, atol=1e-4)
    mean = (scores[:, 0] + scores[:, 2]) / 2
    np.testing.assert_allclose(seen.scores["pneumonia", "mean"], mean, rtol=0, atol=1e-4)
    assert scores.std(axis=0).min() > 1e-5  # it tells them apart
    for found, expected in zip(seen.maps.values(), maps, strict=True):
        assert found.shape == expected.shape
        assert expected.max() > 0
        np.testing.assert_allclose(
            found / expected.max(), expected / expected.max(), rtol=0, atol=1e-4
        )


@pytest.mark.parametrize(("architecture", "size"), [("standard", 32), ("densenet121", 64)])
def test_the_graph_gives_what_pytorch_gives(tmp_path, architecture, size):
    model = made_bundles.model_of(architecture=architecture, size=size)
    bundle = made_bundles.about(model, architecture, size)
    images = made_bundles.chests(BATCH + 3, size)  # more than a batch, and not a whole number
    require_equal(model, runtime_of(tmp_path, model, bundle), images)


@pytest.mark.parametrize(("architecture", "size"), [("standard", 224), ("densenet121", 224)])
def test_it_does_on_real_radiographs(tmp_path, real_data, architecture, size):
    files = sorted((real_data / "hospital-mini" / "dicom").glob("*.dcm"))[:8]
    data = [path.read_bytes() for path in files]
    with zipfile.ZipFile(
        real_data / "rsna-mini" / "rsna-pneumonia-detection-challenge.zip"
    ) as archive:
        names = [name for name in archive.namelist() if name.endswith(".dcm")]
        data += [archive.read(name) for name in names[:8]]
    images = np.stack([read_image(one, size, "pad", 36_000_000)[0] for one in data])
    model = made_bundles.model_of(architecture=architecture, size=size)
    bundle = made_bundles.about(model, architecture, size)
    require_equal(model, runtime_of(tmp_path, model, bundle), images)


def test_no_images_and_one_image(tmp_path):
    model = made_bundles.model_of()
    runtime = runtime_of(tmp_path, model, made_bundles.about(model))
    assert runtime.run(made_bundles.chests(1)[:0]).scores == {}
    (score,) = runtime.run(made_bundles.chests(1)).scores["pneumothorax", "south"]
    assert 0 < score < 1
    assert runtime.run(made_bundles.chests(1)).maps == {}


def test_the_batch_an_image_is_in_does_not_matter(tmp_path):
    model = made_bundles.model_of()
    runtime = runtime_of(tmp_path, model, made_bundles.about(model))
    images = made_bundles.chests(BATCH)
    together = runtime.run(images).scores["pneumonia", "mean"]
    alone = [runtime.run(one[np.newaxis]).scores["pneumonia", "mean"][0] for one in images]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)


def test_the_same_model_is_the_same_file_and_names_no_place_of_this_machine(tmp_path):
    model = made_bundles.model_of()
    for name in ("one", "two"):
        export.write_graph(model, made_bundles.SIZE, tmp_path / name)
    written = (tmp_path / "one").read_bytes()
    assert written == (tmp_path / "two").read_bytes()
    assert b"chexviz/" not in written
    assert b"site-packages" not in written
    onnx.checker.check_model(onnx.load_from_string(written))


def test_a_graph_that_gives_something_else_is_not_given_away(tmp_path):
    model = made_bundles.model_of()
    runtime = runtime_of(tmp_path, model, made_bundles.about(model))
    images = made_bundles.chests(4)
    export.require_equal(model, runtime, images, "model")
    with torch.no_grad():
        model.tasks["south"].layers[-1].bias += 0.01
    with pytest.raises(InputError, match=r"to 0\.0001\n  found:    a difference"):
        export.require_equal(model, runtime, images, "model")


def test_a_map_of_a_known_model_is_its_features_times_its_weights(tmp_path):
    """A head of one open unit: the importance of each channel is the product of two weights."""
    model = made_bundles.model_of({"north": ["pneumonia"]})
    first, *_, last = model.tasks["north"].layers
    with torch.no_grad():
        for layer in (first, last):
            layer.weight.zero_()
            layer.bias.zero_()
        first.weight[0, 5], first.bias[0], last.weight[0, 0] = 3.0, 1.0, 0.5
    runtime = runtime_of(tmp_path, model, made_bundles.about(model))
    images = made_bundles.chests(2)
    with torch.no_grad():
        maps = model.representation(torch.from_numpy(images)[:, None] / 255).numpy()
    found = runtime.run(images, mapped=True).maps["pneumonia"]
    area = math.prod(maps.shape[2:])
    np.testing.assert_allclose(found, 1.5 / area * maps[:, 5], rtol=1e-5, atol=1e-7)
