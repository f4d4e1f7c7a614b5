"""Figures of the study: the framework, the data, the trainings and the simulations."""


rule figure1:
    """Draw the framework."""
    output:
        pdf="<results>/figures/figure1.pdf",
        png=report(
            "<results>/figures/figure1.png",
            caption="../report/figure1.rst",
            category="Paper",
            labels={"shows": "Figure 1, framework", "protocol": "all"},
        ),
    log:
        "<logs>/figure1.log",
    benchmark:
        "<benchmarks>/figure1.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.framework"),
        settings=literal({"sites": settings.titles(config)}),
        mark=MARK,
    shell:
        """
        python -m chexviz.reporting.figures.framework \
            --settings {params.settings:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule figure_audit:
    """Draw what evaluation images share with training images, and labels by view and sex."""
    input:
        audit=expand("<results>/audit/{protocol}.csv", protocol=PROTOCOLS),
        labels="<results>/audit/labels.csv",
    output:
        pdf="<results>/figures/audit.pdf",
        png=report(
            "<results>/figures/audit.png",
            caption="../report/audit_figure.rst",
            category="Audit",
            labels={"shows": "all of it, figure", "protocol": "all"},
        ),
    log:
        "<logs>/figure_audit.log",
    benchmark:
        "<benchmarks>/figure_audit.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.audit"),
        order=PROTOCOLS,
        settings=literal({"sites": settings.titles(config)}),
        mark=MARK,
    shell:
        """
        python -m chexviz.reporting.figures.audit \
            --audit {input.audit:q} \
            --labels {input.labels:q} \
            --settings {params.settings:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule figure_training:
    """Draw learning curves, drift and bytes sent of every training."""
    input:
        histories=lambda wildcards: paths.history_files(config, wildcards.protocol),
    output:
        training_pdf="<results>/figures/{protocol}/training.pdf",
        training_png=report(
            "<results>/figures/{protocol}/training.png",
            caption="../report/training.rst",
            category="Training",
            labels={"shows": "learning curves", "protocol": "{protocol}"},
        ),
        exchange_pdf="<results>/figures/{protocol}/exchange.pdf",
        exchange_png=report(
            "<results>/figures/{protocol}/exchange.png",
            caption="../report/exchange.rst",
            category="Training",
            labels={"shows": "drift, bytes sent", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/figure_training/{protocol}.log",
    benchmark:
        "<benchmarks>/figure_training/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.training"),
        order=study.names(study.trainings(config)),
        histories=lambda wildcards, input: arguments.histories(config, input.histories),
        settings=literal({"sites": settings.titles(config)}),
        mark=MARK,
    shell:
        """
        python -m chexviz.reporting.figures.training \
            {params.histories} \
            --settings {params.settings:q} \
            --mark={params.mark:q} \
            --training {output.training_pdf:q} {output.training_png:q} \
            --exchange {output.exchange_pdf:q} {output.exchange_png:q} \
            2>&1 | tee {log:q}
        """


rule figure_simulation:
    """Draw how often the paired tests call two equally good models different."""
    input:
        simulation="<results>/evaluation/simulation.csv",
    output:
        pdf="<results>/figures/simulation.pdf",
        png=report(
            "<results>/figures/simulation.png",
            caption="../report/simulation_figure.rst",
            category="Evaluation",
            labels={"shows": "simulation of the tests, figure", "protocol": "all"},
        ),
    log:
        "<logs>/figure_simulation.log",
    benchmark:
        "<benchmarks>/figure_simulation.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.simulation"),
        mark=MARK,
    shell:
        """
        python -m chexviz.reporting.figures.simulation \
            --simulation {input.simulation:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule figure_coverage:
    """Draw how often intervals hold the truth, and paired tests their level."""
    input:
        coverage="<results>/evaluation/coverage.csv",
    output:
        pdf="<results>/figures/coverage.pdf",
        png=report(
            "<results>/figures/coverage.png",
            caption="../report/coverage_figure.rst",
            category="Evaluation",
            labels={"shows": "coverage of the intervals, figure", "protocol": "all"},
        ),
    log:
        "<logs>/figure_coverage.log",
    benchmark:
        "<benchmarks>/figure_coverage.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.coverage"),
        mark=MARK,
    shell:
        """
        python -m chexviz.reporting.figures.coverage \
            --coverage {input.coverage:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """
