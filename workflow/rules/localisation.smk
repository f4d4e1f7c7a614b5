"""Grad-CAM against boxes and masks: measures of all models, their figure, and a contact sheet."""


rule localise:
    """Score the Grad-CAM maps of all models' true positives under {wildcards.protocol}."""
    input:
        annotations=expand("<results>/sites/{site}/annotations.csv", site=SITES),
        predictions=lambda wildcards: plan.prediction_files(MODELS, wildcards.protocol),
        gradcam=lambda wildcards: plan.prediction_files(MODELS, wildcards.protocol, ".gradcam.npz"),
        split="<results>/splits/{protocol}.csv",
        metrics="<results>/evaluation/{protocol}/metrics.csv",
    output:
        summary=report(
            "<results>/evaluation/{protocol}/localisation.csv",
            caption="../report/localisation_table.rst",
            category="Localisation",
            labels={"shows": "agreement, table", "protocol": "{protocol}"},
        ),
        images="<results>/evaluation/{protocol}/localisation_images.csv",
    log:
        "<logs>/localise/{protocol}.log",
    benchmark:
        "<benchmarks>/localise/{protocol}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=code("evaluation.localise"),
        order=plan.names(MODELS),
        sites=lambda wildcards, input: plan.site_arguments(config, input.annotations),
        predictions=lambda wildcards, input: plan.model_arguments(
            "--prediction", MODELS, input.predictions, input.gradcam
        ),
        settings=literal(plan.text(plan.localise(config))),
    shell:
        """
        python -m chexviz.evaluation.localise \
            {params.sites} \
            {params.predictions} \
            --split {input.split:q} \
            --metrics {input.metrics:q} \
            --settings {params.settings:q} \
            --images {output.images:q} \
            --summary {output.summary:q} \
            2>&1 | tee {log:q}
        """


rule figure_localisation:
    """Draw how well the maps of all models agree with the annotations."""
    input:
        localisation="<results>/evaluation/{protocol}/localisation.csv",
    output:
        pdf="<results>/figures/{protocol}/localisation.pdf",
        png=report(
            "<results>/figures/{protocol}/localisation.png",
            caption="../report/localisation.rst",
            category="Localisation",
            labels={"shows": "agreement, figure", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/figure_localisation/{protocol}.log",
    benchmark:
        "<benchmarks>/figure_localisation/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.localisation"),
        titles=literal(plan.text(plan.titles(config))),
        mark=literal(config["mark"]),
    shell:
        """
        python -m chexviz.reporting.figures.localisation \
            --localisation {input.localisation:q} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule contact_sheet:
    """Show true positives from best to worst, baseline beside the first method."""
    input:
        images=IMAGES,
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
        annotations=expand("<results>/sites/{site}/annotations.csv", site=SITES),
        gradcam=lambda wildcards: plan.prediction_files(SHOWN, wildcards.protocol, ".gradcam.npz"),
        scored="<results>/evaluation/{protocol}/localisation_images.csv",
    output:
        pdf="<results>/figures/{protocol}/contact_sheet.pdf",
        png=report(
            "<results>/figures/{protocol}/contact_sheet.png",
            caption="../report/contact_sheet.rst",
            category="Localisation",
            labels={"shows": "true positives", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/contact_sheet/{protocol}.log",
    benchmark:
        "<benchmarks>/contact_sheet/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.contact_sheet"),
        order=SITES + plan.names(SHOWN),
        sites=lambda wildcards, input: plan.site_arguments(
            config, input.images, input.samples, input.annotations
        ),
        gradcam=lambda wildcards, input: plan.model_arguments("--gradcam", SHOWN, input.gradcam),
        titles=literal(plan.text(plan.titles(config))),
        mark=literal(config["mark"]),
    shell:
        """
        python -m chexviz.reporting.figures.contact_sheet \
            {params.sites} \
            {params.gradcam} \
            --scored {input.scored:q} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """
