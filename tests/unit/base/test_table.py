"""Tables: what is read with which type, what is refused, and that what is written comes back."""

import numpy as np
import pandas as pd
import pytest

from chexviz.base.errors import InputError
from chexviz.base.tables import evaluation, models, privacy, sites, study, summaries
from chexviz.base.tables.table import Table, bounds, flag, note, number, text, whole

TABLE = Table(
    "made.csv",
    "a row an image",
    image=text(),
    remark=note(),
    score=number(),
    count=whole(),
    known=flag(),
    label_=number(),
)
HEAD = "image,remark,score,count,known"
ALL = [
    table
    for module in (sites, study, models, evaluation, privacy, summaries)
    for table in vars(module).values()
    if isinstance(table, Table)
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made.csv"


def test_every_cell_has_the_type_of_its_column(path):
    path.write_text(f"{HEAD},label_a,new\n007,,0.1,3,True,1,x\nNA,NA,,4,False,,y\n,x,1,5,True,0,\n")
    table = TABLE.read(path)
    assert table["image"].tolist()[:2] == ["007", "NA"]
    assert table["image"].isna().tolist() == [False, False, True]
    assert table["remark"].tolist() == ["", "NA", "x"]
    assert table["score"].tolist()[::2] == [0.1, 1.0]
    assert table["score"].isna().tolist() == [False, True, False]
    assert table["count"].tolist() == [3, 4, 5]
    assert table["known"].tolist() == [True, False, True]
    assert table["label_a"].dtype == float
    assert list(TABLE.read(path, "known", "label_a")) == ["known", "label_a"]


def test_a_number_is_the_nearest_to_its_text(path):
    values = np.random.default_rng(1).random(1000)
    rows = [["a", "", value, 1, True] for value in values]
    TABLE.write(rows, path)
    assert TABLE.read(path)["score"].to_numpy().tobytes() == values.tobytes()


def test_a_table_without_rows_has_its_types(path):
    TABLE.write([], path)
    assert path.read_text() == HEAD + "\n"
    kinds = TABLE.read(path).dtypes.map(lambda one: one.kind).to_dict()
    assert kinds["score"], kinds["count"] == ("f", "i")
    assert kinds["known"] == "b"


@pytest.mark.parametrize(
    ("text", "expected", "found"),
    [
        ("image,score\na,1\n", "the columns image, remark, score, count, known", "no remark, c"),
        (f"{HEAD}\na,,x,1,True\nb,,,1,True\n", "a number or nothing.* column score", "'x'"),
        (f"{HEAD}\na,,1,1.5,True\n", "an integer in every row of the column count", "1.5"),
        (f"{HEAD}\na,,1,1,True\nb,,1,,True\n", "an integer .* column count", "nan"),
        (f"{HEAD}\na,,1,1,yes\n", "True or False .* column known", "'yes'"),
        (f"{HEAD}\na,,1,1,True\nb,,1,1,\n", "True or False .* column known", "nan"),
        (f"{HEAD}\n,,,,,,,\n", "a table", "Length of header"),
        ("", "a table", "No columns"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(path, text, expected, found):
    path.write_text(text)
    with pytest.raises(InputError, match=rf"expected: {expected}.*\n.*found: .*{found}"):
        TABLE.read(path)


def test_an_absent_file_is_named(path):
    with pytest.raises(InputError, match=r"made\.csv\n.*earlier stage"):
        TABLE.read(path)


@pytest.mark.parametrize(
    "columns",
    [["image", "remark", "score", "count"], ["remark", "image", "score", "count", "known"]],
)
def test_nothing_is_written_with_other_columns(path, columns):
    with pytest.raises(ValueError, match="made"):
        TABLE.write(pd.DataFrame([[1] * len(columns)], columns=columns), path)
    strange = pd.DataFrame([["a", "", 1.0, 1, True, 2]], columns=[*TABLE.names, "labels"])
    with pytest.raises(ValueError, match="labels"):
        TABLE.write(strange, path)
    assert not path.exists()
    TABLE.write(strange.rename(columns={"labels": "label_x"}), path)
    assert path.read_text() == f"{HEAD},label_x\na,,1.0,1,True,2\n"


def test_a_value_with_its_interval_is_three_columns():
    assert list(bounds("auroc")) == ["auroc", "auroc_low", "auroc_high"]
    assert list(bounds("auroc", spread=True))[-1] == "auroc_sd"


def test_every_table_of_the_workflow_is_declared_once():
    names = [table.name for table in ALL]
    assert len(names) == len(set(names)) == 51
    assert all(table.about and table.names for table in ALL)
