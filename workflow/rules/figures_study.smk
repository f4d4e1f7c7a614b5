"""Figures of the study: the framework, the data, the trainings and the simulations."""


rule figure1:
    """Draw the framework."""
    output:
        pdf="<results>/figures/figure1.pdf",
        png=report("<results>/figures/figure1.png", **reported("figure1")),
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
        heads=config["methods"][FIRST_METHOD].get("heads", "private"),
        titles=TITLES,
        mark=MARK,
        caption=caption("figure1"),
    shell:
        """
        python -m chexviz.reporting.figures.framework \
            --titles {params.titles:q} \
            --heads {params.heads} \
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
        png=report("<results>/figures/audit.png", **reported("audit")),
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
        titles=TITLES,
        mark=MARK,
        caption=caption("audit"),
    shell:
        """
        python -m chexviz.reporting.figures.audit \
            --audit {input.audit:q} \
            --labels {input.labels:q} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule figure_training:
    """Draw the learning curves of every training."""
    input:
        histories=lambda wildcards: paths.history_files(config, wildcards.protocol),
    output:
        pdf="<results>/figures/{protocol}/training.pdf",
        png=report("<results>/figures/{protocol}/training.png", **reported("training")),
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
        titles=TITLES,
        mark=MARK,
        caption=caption("training"),
    shell:
        """
        python -m chexviz.reporting.figures.training \
            {params.histories} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule figure_exchange:
    """Draw how sites drift from their average in each round, and what they send."""
    input:
        histories=lambda wildcards: paths.history_files(config, wildcards.protocol),
    output:
        pdf="<results>/figures/{protocol}/exchange.pdf",
        png=report("<results>/figures/{protocol}/exchange.png", **reported("exchange")),
    log:
        "<logs>/figure_exchange/{protocol}.log",
    benchmark:
        "<benchmarks>/figure_exchange/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.exchange"),
        order=study.names(study.trainings(config)),
        histories=lambda wildcards, input: arguments.histories(config, input.histories),
        titles=TITLES,
        mark=MARK,
        caption=caption("exchange"),
    shell:
        """
        python -m chexviz.reporting.figures.exchange \
            {params.histories} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule figure_simulation:
    """Draw how often the paired tests call two equally good models different."""
    input:
        simulation="<results>/evaluation/simulation.csv",
    output:
        pdf="<results>/figures/simulation.pdf",
        png=report("<results>/figures/simulation.png", **reported("simulation")),
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
        caption=caption("simulation"),
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
        png=report("<results>/figures/coverage.png", **reported("coverage")),
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
        caption=caption("coverage"),
    shell:
        """
        python -m chexviz.reporting.figures.coverage \
            --coverage {input.coverage:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """
