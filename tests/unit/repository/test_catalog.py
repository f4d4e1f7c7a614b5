"""What Snakemake's workflow catalog asks of a workflow that it lists with its usage."""

import yaml


def test_the_catalog_finds_what_it_asks_for(repository):
    """Its list: https://github.com/snakemake/snakemake-workflow-catalog, "Adding workflows"."""
    text = (repository / ".snakemake-workflow-catalog.yml").read_text()
    usage = yaml.safe_load(text)["usage"]
    assert isinstance(usage["mandatory-flags"]["desc"], str)
    assert isinstance(usage["mandatory-flags"]["flags"], str)
    assert usage["software-stack-deployment"]["conda"] is True
    assert {type(value) for value in usage["software-stack-deployment"].values()} == {bool}
    assert usage["report"] is True
    for path in ("workflow/Snakefile", "config/README.md", "workflow/rules/common.smk"):
        assert (repository / path).is_file()
    readme = (repository / "README.md").read_text().lower()
    assert "snakemake" in readme
    assert "workflow" in readme
