"""Tables as programs and people write them: what is read, what is refused, and the one message."""

import gzip

import pandas as pd
import pytest

from chexviz.base.errors import InputError
from chexviz.base.user_tables import identifier, known, labels, read

ROWS = [["a.dcm", "7", "Zürich"], ["b.dcm", "8", "Genève"]]
PLAIN = "file,patient,place\na.dcm,7,Zürich\nb.dcm,8,Genève\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labels.csv"


def refused(path, content, *columns, optional=()):
    """How a table is refused."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        read(path, columns or ["file", "patient"], optional)
    assert str(path) in caught.value.where
    return caught.value


SPELLINGS = {
    "plain": PLAIN,
    "a comma after every row": PLAIN.replace("\n", ",\n"),
    "a comma after every row but the header": PLAIN.replace("\n", ",\n").replace("place,", "place"),
    "a comma after the header alone": PLAIN.replace("place", "place,"),
    "semicolons": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "spaces": PLAIN.replace(",", " , "),
    "quotes": PLAIN.replace("Genève", '"Genève"').replace("a.dcm", '"a.dcm"'),
    "Windows": PLAIN.replace("\n", "\r\n"),
    "old Macs": PLAIN.replace("\n", "\r"),
    "empty lines": PLAIN.replace("\n", "\n\n,,\n"),
    "no end of the last line": PLAIN.rstrip(),
    "an index of pandas": "".join(
        f"{n},{row}\n" for n, row in zip(" 01", PLAIN.splitlines(), strict=True)
    ),
    "a column twice": PLAIN.replace("place", "place,file")
    .replace("Zürich", "Zürich,a.dcm")
    .replace("Genève", "Genève,b.dcm"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_one_table_in_many_spellings(path, spelling):
    path.write_text(SPELLINGS[spelling], encoding="utf-8", newline="")
    table = read(path, ["file", "patient"])
    assert list(table) == ["file", "patient", "place"]
    assert table.values.tolist() == ROWS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
@pytest.mark.parametrize("compressed", [False, True])
def test_encodings(path, capsys, encoding, compressed):
    data = PLAIN.encode(encoding)
    path.write_bytes(gzip.compress(data) if compressed else data)
    assert read(path, ["file"]).values.tolist() == ROWS
    read(path, ["file"])
    said = f"NOTE {path}: not in UTF-8, so it is read as Latin-1 (Windows-1252)\n"
    assert capsys.readouterr().err == said * (encoding in ("latin-1", "cp1252"))


def test_the_index_is_the_line(path):
    path.write_text('file,note\na,"two\nlines"\n\nb,\n')
    assert read(path, ["file"]).index.tolist() == [3, 5]


def test_utf16_of_either_byte_order_has_its_mark_or_is_refused(path):
    path.write_bytes(b"\xfe\xff" + PLAIN.encode("utf-16-be"))
    assert read(path, ["file"]).values.tolist() == ROWS
    error = refused(path, PLAIN.encode("utf-16-le"))
    assert "UTF-16 without its mark" in error.found
    assert "UTF-8" in error.fix


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (b"PK\x03\x04sheet", "a workbook"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-20], "EOFError"),
        (b"file,patient\na,\x81\n", "no text"),
        ('file,patient\na,"7\n', "no CSV: unexpected end of data"),
        ("File,patient\na,7\n", "no column file in File, patient"),
        ("file,patient,file\na,7,b\n", "two columns file with different values"),
    ],
)
def test_what_is_refused(path, content, found):
    assert found in refused(path, content).found


def test_a_missing_file_is_named(path):
    with pytest.raises(InputError, match="FileNotFoundError"):
        read(path, ["file"])


@pytest.mark.parametrize("row", ["x,1,2,more", "x"])
def test_rows_of_another_width_are_counted(path, row):
    """Too many: a comma within a value. Too few: the end of a file that was cut."""
    error = refused(path, "file,patient\n" + "a,7\n" * 9 + f"{row}\n" * 3000)
    assert error.where.endswith("row 11")
    assert error.found == f"{row.count(',') + 1} (3000 such rows)"


def test_columns_that_seem_to_be_another_are_refused_unless_it_is_there(path):
    error = refused(path, "file,PatientID,patient age\na,7,9\n", "file", optional=["patient"])
    assert error.found == "PatientID"
    path.write_text("file,patient,PatientID\na,7,9\n")
    assert read(path, ["file"], ["patient"])["patient"].tolist() == ["7"]
    path.write_text("file,PatientSex,Patient Age,inpatient,patients_seen,subset\na,M,9,1,2,3\n")
    assert len(read(path, ["file"], ["patient"])) == 1


def test_values_that_say_that_there_is_none():
    column = pd.Series(["NA", "nan", "NULL", "None", "", "#N/A", "Nancy", "0"])
    assert known(column).tolist() == [""] * 6 + ["Nancy", "0"]


def test_labels():
    column = pd.Series(["1", "1.0", "TRUE", "0", "0.00", "false", "NA", "", "-1", "yes", "2"])
    expected = ["1", "1", "1", "0", "0", "0", "", "", "-1", "yes", "2"]
    assert labels(column).tolist() == expected


def test_identifiers():
    spellings = ["1.2.3", " 1.2.3.dcm", "1.2.3.DCM ", "1.2.3 .dcm"]
    assert {identifier(name) for name in spellings} == {"1.2.3"}
    assert identifier("a\u0308") == identifier("ä") == "ä"
