"""CheXViz: two chest X-ray datasets to Table 1, Figures 1-3 and the paper's PDF."""

import os

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.20")


# The folder of this file: as a module of another workflow, `workflow.basedir` is that one's.
HOME = workflow.current_basedir.get_path_or_uri(secret_free=True)
if not os.path.isdir(HOME):
    raise WorkflowError(
        f"{HOME}: rules run the Python package that lies beside them; "
        "clone the repository, and name its Snakefile on this machine"
    )


configfile: os.path.join(HOME, "config/config.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/cohort.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/federation.smk"


if config["training"]["engine"] == "flower":

    include: "workflow/rules/federation_network.smk"


include: "workflow/rules/evaluation.smk"
include: "workflow/rules/evaluation_simulated.smk"
include: "workflow/rules/privacy.smk"
include: "workflow/rules/bundle.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/tables_published.smk"
include: "workflow/rules/figures_study.smk"
include: "workflow/rules/figures_models.smk"
include: "workflow/rules/figures_images.smk"
include: "workflow/rules/paper.smk"


onstart:
    require_sources()
    forecast()


rule all:
    """The paper: its PDF, the tables and the figures."""
    default_target: True
    input:
        "<results>/paper.pdf",
        "<results>/figures/figure1.png",
        "<results>/figures/audit.png",
        "<results>/figures/flow.png",
        "<results>/figures/simulation.png",
        "<results>/figures/coverage.png",
        expand(
            "<results>/figures/{protocol}/{figure}.png",
            protocol=PROTOCOLS,
            figure=[
                *("figure2", "figure3", "training", "exchange", "localisation", "contact_sheet"),
                *("calibration", "decision", "subgroups", "crosstask", "failures", *EXTERNAL),
                *PRIVATE,
            ],
        ),
        expand(
            "<results>/evaluation/{protocol}/{table}.csv",
            protocol=PROTOCOLS,
            table=["calibration", "operating_points", "decision", "confusion", "failures"],
        ),
        expand(
            "<results>/tables/{protocol}/{table}.{format}",
            protocol=PROTOCOLS,
            table=["table1", "methods", "tests", *EXTERNAL],
            format=["csv", "tex", "md"],
        ),
        expand(
            "<results>/tables/{table}.{format}",
            table=[*paths.study_tables(config), "participants"],
            format=["csv", "tex", "md"],
        ),
        expand(
            "<results>/bundles/{protocol}/{architecture}/bundle.json",
            protocol=study.bundled_protocol(config),
            architecture=config["run"]["architectures"],
        ),
        ["<results>/figures/privacy.png"] if config["run"]["privacy"] else [],


onsuccess:
    provenance.record(workflow, config)
    print("Done. results/README.md says what lies where in", config["pathvars"]["results"])
    print(paths.how_to_predict(config))


onerror:
    provenance.record(workflow, config)
