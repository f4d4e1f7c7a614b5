"""The results of a whole run, packed to be given away: nobody in it can be found in the archive."""

import io
import zipfile

import pandas as pd
import pypdf
import pytest
from sklearn.metrics import roc_auc_score

from chexviz.base.tables.models import PREDICTIONS
from chexviz.base.tables.sites import SAMPLES

END = 1 << 20  # bytes


def test_nobody_can_be_found_in_an_archive(done):
    said = done.tool("archive", "archive.zip")
    assert said.returncode == 0, said.stderr
    samples = pd.concat(map(SAMPLES.read, done.results("sites/*/samples.csv")))
    # As long as this it is an id of its own, and no number that may be anywhere.
    ids = {one for name in ("image", "patient") for one in samples[name] if len(one) > 5}
    files = {name.rpartition("/")[2] for name in samples["file"]}
    assert len(ids) > 300
    with zipfile.ZipFile(done.folder / "archive.zip") as archive:
        names = archive.namelist()
        text = "\n".join(map(words, names, map(archive.read, names)))
        first, *_ = (name for name in names if name.startswith("results/predictions/"))
        scores = PREDICTIONS.read(io.BytesIO(archive.read(first)))
    assert [one for one in ids | files if one in text] == []
    assert str(done.folder) not in text
    assert not [name for name in names if name.endswith((".npy", ".npz", ".dcm", ".gz"))]
    own = PREDICTIONS.read(done.folder / "results" / "demo" / first.removeprefix("results/"))
    assert area(scores) == pytest.approx(area(own))


def words(name: str, content: bytes) -> str:
    """What can be read in a file, and its name."""
    if name.endswith(".pdf"):
        pages = pypdf.PdfReader(io.BytesIO(content)).pages
        return "\n".join([name, *(page.extract_text() for page in pages)])
    if len(content) > 2 * END:  # weights, with names at one end or the other
        content = content[:END] + content[-END:]
    return f"{name}\n{content.decode('latin-1')}"


def area(table: pd.DataFrame) -> float:
    """The AUROC of the first site's first head on the images that evaluate."""
    key = ["site", "finding", "head"]
    rows = table[table["subset"] == "evaluation"].dropna(subset=["label"])
    rows = rows[(rows[key] == rows[key].sort_values(key).iloc[0]).all(axis=1)]
    return roc_auc_score(rows["label"], rows["score"])


def test_what_a_run_would_make_otherwise_is_not_packed(done):
    table = done.folder / "results" / "demo" / "tables" / "grim.csv"
    table.write_text(table.read_text() + "edited\n")
    said = done.tool("archive", "edited.zip")
    assert said.returncode == 1
    assert "tables/grim.csv: artifact" in said.stderr
    assert not (done.folder / "edited.zip").exists()
