"""Numbers on command lines: finite and within bounds, or a word about them."""

import pytest

from chexviz.data.phantom import site
from chexviz.tools import compare


@pytest.mark.parametrize(
    "words",
    [
        ["--margin", "nan"],
        ["--margin", "inf"],
        ["--margin", "1"],
        ["--margin", "1e-400"],
        ["--replicates", "1"],
        ["--replicates", "100000000000"],
        ["--replicates", "nan"],
        ["--seed", "-1"],
        ["--seed", "100000000000000000000000"],
    ],
)
def test_compare_refuses_numbers_that_make_no_sense(words, capsys):
    with pytest.raises(SystemExit) as caught:
        compare.main(["a.csv", "b.csv", *words])
    assert caught.value.code == 2
    assert f"argument {words[0]}: " in capsys.readouterr().err


def test_the_phantom_refuses_a_size_beyond_all_detectors(tmp_path, capsys):
    words = ["--layout", "rsna", "--images", "20", "--seed", "1", "--output", str(tmp_path)]
    with pytest.raises(SystemExit):
        site.main([*words, "--size", "100000"])
    assert "argument --size: 100000 is not between 32 and 8192" in capsys.readouterr().err
