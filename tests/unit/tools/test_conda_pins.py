"""Lines of pin files."""

from types import SimpleNamespace

import pytest

from chexviz.base.errors import InputError
from chexviz.tools.conda_pins import line

URL = "https://conda.anaconda.org/conda-forge/noarch/tqdm-4.67.1-pyhd8ed1ab_1.conda"


def test_a_line_is_the_address_and_the_md5_of_a_package():
    record = SimpleNamespace(url=URL, md5=bytes.fromhex("9efbfdc37242619130ea42b1cc4ed861"))
    assert line(record) == f"{URL}#9efbfdc37242619130ea42b1cc4ed861"


def test_a_package_without_an_md5_is_refused():
    with pytest.raises(InputError, match=r"tqdm.*\n.*MD5"):
        line(SimpleNamespace(url=URL, md5=None))
