"""Who the models work for, and what each head says of the images of other sites."""


rule subgroups:
    """Measure all models by view, sex and age under protocol {wildcards.protocol}."""
    input:
        predictions=lambda wildcards: plan.prediction_files(MODELS, wildcards.protocol),
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
    output:
        table=report(
            "<results>/evaluation/{protocol}/subgroups.csv",
            caption="../report/subgroups.rst",
            category="Subgroups",
            labels={"shows": "table", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/subgroups/{protocol}.log",
    benchmark:
        "<benchmarks>/subgroups/{protocol}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=code("evaluation.subgroups"),
        order=plan.names(MODELS),
        predictions=lambda wildcards, input: plan.model_arguments(
            "--prediction", MODELS, input.predictions
        ),
        tasks=plan.task_arguments(config),
        samples=lambda wildcards, input: plan.samples_arguments(config, input),
        settings=literal(
            plan.text(plan.take(config["evaluation"], "bootstrap", "minimum_cases", "subgroups"))
        ),
    shell:
        """
        python -m chexviz.evaluation.subgroups \
            {params.predictions} \
            {params.tasks} \
            {params.samples} \
            --settings {params.settings:q} \
            --output {output.table:q} \
            2>&1 | tee {log:q}
        """


rule figure_subgroups:
    """Draw AUROC by view, sex and age, baseline beside the first method."""
    input:
        table="<results>/evaluation/{protocol}/subgroups.csv",
    output:
        pdf="<results>/figures/{protocol}/subgroups.pdf",
        png=report(
            "<results>/figures/{protocol}/subgroups.png",
            caption="../report/subgroups_figure.rst",
            category="Subgroups",
            labels={"shows": "figure", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/figure_subgroups/{protocol}.log",
    benchmark:
        "<benchmarks>/figure_subgroups/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.subgroups"),
        method=config["run"]["methods"][0],
        titles=literal(plan.text(plan.titles(config))),
        mark=literal(config["mark"]),
    shell:
        """
        python -m chexviz.reporting.figures.subgroups \
            --subgroups {input.table:q} \
            --method {params.method} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule crosstask:
    """Compare all heads of every model on the same images under protocol {wildcards.protocol}."""
    input:
        predictions=lambda wildcards: plan.prediction_files(MODELS, wildcards.protocol),
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
    output:
        table=report(
            "<results>/evaluation/{protocol}/crosstask.csv",
            caption="../report/crosstask.rst",
            category="Cross-task",
            labels={"shows": "table", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/crosstask/{protocol}.log",
    benchmark:
        "<benchmarks>/crosstask/{protocol}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=code("evaluation.crosstask"),
        order=plan.names(MODELS),
        predictions=lambda wildcards, input: plan.model_arguments(
            "--prediction", MODELS, input.predictions
        ),
        tasks=plan.task_arguments(config),
        samples=lambda wildcards, input: plan.samples_arguments(config, input),
        settings=literal(plan.text(plan.take(config["evaluation"], "bootstrap", "minimum_cases"))),
    shell:
        """
        python -m chexviz.evaluation.crosstask \
            {params.predictions} \
            {params.tasks} \
            {params.samples} \
            --settings {params.settings:q} \
            --output {output.table:q} \
            2>&1 | tee {log:q}
        """


rule figure_crosstask:
    """Draw the scores of every head of the first method on every site's images."""
    input:
        table="<results>/evaluation/{protocol}/crosstask.csv",
    output:
        pdf="<results>/figures/{protocol}/crosstask.pdf",
        png=report(
            "<results>/figures/{protocol}/crosstask.png",
            caption="../report/crosstask_figure.rst",
            category="Cross-task",
            labels={"shows": "figure", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/figure_crosstask/{protocol}.log",
    benchmark:
        "<benchmarks>/figure_crosstask/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.crosstask"),
        method=config["run"]["methods"][0],
        settings=literal(plan.text({"sites": plan.titles(config)})),
        mark=literal(config["mark"]),
    shell:
        """
        python -m chexviz.reporting.figures.crosstask \
            --crosstask {input.table:q} \
            --method {params.method} \
            --settings {params.settings:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """
