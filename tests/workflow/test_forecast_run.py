"""A long study without a GPU says how long it takes before its first job."""

import copy
import re

import pytest
import torch

from running import FORECAST, TINY


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_long_study_says_how_long_before_its_first_job(workflow):
    long = copy.deepcopy(TINY)
    long["architectures"]["standard"]["federated"]["rounds"] = 100_000
    workflow.configure(long)
    assert FORECAST not in workflow.succeed("--dry-run")
    said = workflow.wait_for(FORECAST)
    assert not (workflow.folder / "resources").exists()
    # Of 180 images 0.8 and 0.7 train, under the two protocols: federated, and two epochs alone.
    assert re.search(r"standard \S+ images/s of 27,000,540\)", said)
