"""What readers must know beside the results: which images, who is on them, where models fail."""


rule participants:
    """Count images from the files found to the subsets, and who is on them."""
    input:
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
        rejected=expand("<results>/sites/{site}/rejected.csv", site=SITES),
        manifest=expand("<resources>/{site}/manifest.csv", site=SITES),
        fetched=expand("<resources>/{site}/fetched.csv", site=SITES),
        split=expand("<results>/splits/{protocol}.csv", protocol=PROTOCOLS),
    output:
        sources="<results>/audit/sources.csv",
        flow="<results>/audit/flow.csv",
        csv=report(
            "<results>/tables/participants.csv",
            caption="../report/participants.rst",
            category="Audit",
            labels={"shows": "characteristics of the images", "protocol": "all"},
        ),
        tex="<results>/tables/participants.tex",
        md="<results>/tables/participants.md",
        pdf="<results>/figures/flow.pdf",
        png=report(
            "<results>/figures/flow.png",
            caption="../report/flow.rst",
            category="Audit",
            labels={"shows": "flow of images", "protocol": "all"},
        ),
    log:
        "<logs>/participants.log",
    benchmark:
        "<benchmarks>/participants.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=code("reporting.tables.participants"),
        order=SITES + PROTOCOLS,
        sites=lambda wildcards, input: plan.site_arguments(
            config, input.samples, input.rejected, input.manifest, input.fetched
        ),
        splits=lambda wildcards, input: plan.split_arguments(config, input.split),
        settings=literal(plan.text({"sites": plan.titles(config)})),
        mark=literal(config["mark"]),
    shell:
        """
        python -m chexviz.reporting.tables.participants \
            {params.sites} \
            {params.splits} \
            --settings {params.settings:q} \
            --mark={params.mark:q} \
            --sources {output.sources:q} \
            --flow {output.flow:q} \
            --csv {output.csv:q} \
            --tex {output.tex:q} \
            --md {output.md:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule failures:
    """Count right and wrong calls of all models, and show the worst errors of the first method."""
    input:
        images=IMAGES,
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
        annotations=expand("<results>/sites/{site}/annotations.csv", site=SITES),
        predictions=lambda wildcards: plan.prediction_files(MODELS, wildcards.protocol),
        metrics="<results>/evaluation/{protocol}/metrics.csv",
    output:
        confusion=report(
            "<results>/evaluation/{protocol}/confusion.csv",
            caption="../report/confusion.rst",
            category="Evaluation",
            labels={"shows": "confusion matrices", "protocol": "{protocol}"},
        ),
        failures="<results>/evaluation/{protocol}/failures.csv",
        pdf="<results>/figures/{protocol}/failures.pdf",
        png=report(
            "<results>/figures/{protocol}/failures.png",
            caption="../report/failures.rst",
            category="Evaluation",
            labels={"shows": "worst errors", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/failures/{protocol}.log",
    benchmark:
        "<benchmarks>/failures/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.failures"),
        order=SITES + plan.names(MODELS),
        sites=lambda wildcards, input: plan.site_arguments(
            config, input.images, input.samples, input.annotations
        ),
        predictions=lambda wildcards, input: plan.model_arguments(
            "--prediction", MODELS, input.predictions
        ),
        method=config["run"]["methods"][0],
        titles=literal(plan.text(plan.titles(config))),
        mark=literal(config["mark"]),
    shell:
        """
        python -m chexviz.reporting.figures.failures \
            {params.sites} \
            {params.predictions} \
            --metrics {input.metrics:q} \
            --method {params.method} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --confusion {output.confusion:q} \
            --failures {output.failures:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """
