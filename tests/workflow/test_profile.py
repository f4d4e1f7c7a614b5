"""What the SLURM profile asks for, without a cluster; tests/cluster asks a real one."""

import re

import pytest

WHERE = {"SBATCH_ACCOUNT": "lab", "SBATCH_PARTITION": "all"}  # a name that Python knows, too
TRAINING = {"train_baseline", "train_federated"}
ON_GPU = TRAINING | {"warmup", "predict"}


def planned(workflow, **environment: str) -> dict[str, dict[str, str]]:
    """The resources of every rule under the profile."""
    options = ("--profile", "profiles/slurm", "--quiet", "host")
    done = workflow.plan(*options, **WHERE | environment)
    assert done.returncode == 0, done.stdout[-3000:]
    found = re.findall(r"\nrule (\w+):\n(?:    .*\n)*?    resources: (.*)\n", done.stdout)
    assert found
    return {
        rule: dict(one.split("=", 1) for one in resources.split(", ")) for rule, resources in found
    }


@pytest.mark.parametrize("name", WHERE)
def test_an_account_or_partition_that_is_not_set_is_named(workflow, name):
    environment = workflow.environment(**WHERE)
    del environment[name]
    workflow.environment = lambda **_: environment
    done = workflow.plan("--profile", "profiles/slurm")
    assert done.returncode != 0
    assert done.stdout.splitlines()[1:] == [
        "ERROR profiles/slurm/profile.yaml",
        f"  expected: {name}, as sbatch reads it; empty for what the cluster gives you by default",
        "  found:    no such environment variable",
        f"  fix:      export {name}=...; docs/cluster.md has the others",
    ]


def test_every_rule_says_what_it_needs(workflow):
    jobs = planned(workflow, CHEXVIZ_GPU_PARTITION="gpu")
    assert jobs.keys() > ON_GPU
    for rule, resources in jobs.items():
        assert rule == "all" or int(resources["mem_mb"]) >= 1000, rule
        assert rule == "all" or int(resources["runtime"]) >= 10, rule
        assert resources["slurm_account"] == "lab"
        assert resources["slurm_partition"] == ("gpu" if rule in ON_GPU else "all"), rule
        assert resources.get("gpu") == ("1" if rule in ON_GPU else None), rule
        assert ("slurm_extra" in resources) == (rule in TRAINING), rule


def test_a_cluster_without_gpus_is_asked_for_none(workflow):
    jobs = planned(workflow, CHEXVIZ_GPUS="0")
    assert {jobs[rule]["slurm_partition"] for rule in ON_GPU} == {"all"}
    assert {jobs[rule]["gpu"] for rule in ON_GPU} == {"0"}
