"""Figures 1 to 3, and those of the training and of the simulations."""


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
        settings=literal(plan.text({"sites": plan.titles(config)})),
        mark=literal(config["mark"]),
    shell:
        """
        python -m chexviz.reporting.figures.framework \
            --settings {params.settings:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule figure2:
    """Draw the ROC curves, baseline against the first method."""
    input:
        roc="<results>/evaluation/{protocol}/roc.csv",
        metrics="<results>/evaluation/{protocol}/metrics.csv",
        comparisons="<results>/evaluation/{protocol}/comparisons.csv",
    output:
        pdf="<results>/figures/{protocol}/figure2.pdf",
        png=report(
            "<results>/figures/{protocol}/figure2.png",
            caption="../report/figure2.rst",
            category="Paper",
            labels={"shows": "Figure 2, ROC curves", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/figure2/{protocol}.log",
    benchmark:
        "<benchmarks>/figure2/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.roc_curves"),
        method=config["run"]["methods"][0],
        titles=literal(plan.text(plan.titles(config))),
        mark=literal(config["mark"]),
    shell:
        """
        python -m chexviz.reporting.figures.roc_curves \
            --roc {input.roc:q} \
            --metrics {input.metrics:q} \
            --comparisons {input.comparisons:q} \
            --method {params.method} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule figure3:
    """Draw Grad-CAM of true positives, baseline beside the first method."""
    input:
        images=IMAGES,
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
        annotations=expand("<results>/sites/{site}/annotations.csv", site=SITES),
        predictions=lambda wildcards: plan.prediction_files(SHOWN, wildcards.protocol),
        gradcam=lambda wildcards: plan.prediction_files(SHOWN, wildcards.protocol, ".gradcam.npz"),
        metrics="<results>/evaluation/{protocol}/metrics.csv",
    output:
        pdf="<results>/figures/{protocol}/figure3.pdf",
        png=report(
            "<results>/figures/{protocol}/figure3.png",
            caption="../report/figure3.rst",
            category="Paper",
            labels={"shows": "Figure 3, Grad-CAM", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/figure3/{protocol}.log",
    benchmark:
        "<benchmarks>/figure3/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.gradcam_cases"),
        order=SITES + plan.names(SHOWN),
        sites=lambda wildcards, input: plan.site_arguments(
            config, input.images, input.samples, input.annotations
        ),
        predictions=lambda wildcards, input: plan.model_arguments(
            "--prediction", SHOWN, input.predictions, input.gradcam
        ),
        titles=literal(plan.text(plan.titles(config))),
        mark=literal(config["mark"]),
    shell:
        """
        python -m chexviz.reporting.figures.gradcam_cases \
            {params.sites} \
            {params.predictions} \
            --metrics {input.metrics:q} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule figure_training:
    """Draw learning curves, drift and bytes sent of every training."""
    input:
        histories=lambda wildcards: plan.history_files(config, wildcards.protocol),
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
        order=plan.names(plan.histories(config)),
        histories=lambda wildcards, input: plan.history_arguments(config, input),
        settings=literal(plan.text({"sites": plan.titles(config)})),
        mark=literal(config["mark"]),
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
        mark=literal(config["mark"]),
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
        mark=literal(config["mark"]),
    shell:
        """
        python -m chexviz.reporting.figures.coverage \
            --coverage {input.coverage:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """
