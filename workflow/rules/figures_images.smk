"""Figures that show radiographs: true positives with their Grad-CAM maps, and errors."""


rule figure3:
    """Draw Grad-CAM of true positives, baseline beside the first method."""
    input:
        images=IMAGES,
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
        annotations=expand("<results>/sites/{site}/annotations.csv", site=SITES),
        predictions=lambda wildcards: paths.prediction_files(EXAMPLES, wildcards.protocol),
        gradcam=lambda wildcards: paths.prediction_files(
            EXAMPLES, wildcards.protocol, ".gradcam.npz"
        ),
        metrics="<results>/evaluation/{protocol}/metrics.csv",
    output:
        pdf="<results>/figures/{protocol}/figure3.pdf",
        png=report("<results>/figures/{protocol}/figure3.png", **reported("figure3")),
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
        order=SITES + study.names(EXAMPLES),
        sites=lambda wildcards, input: arguments.sites(
            config, input.images, input.samples, input.annotations
        ),
        predictions=lambda wildcards, input: arguments.models(
            "--prediction", EXAMPLES, input.predictions, input.gradcam
        ),
        titles=TITLES,
        mark=MARK,
        caption=caption("figure3"),
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


rule contact_sheet:
    """Show true positives from best to worst, baseline beside the first method."""
    input:
        images=IMAGES,
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
        annotations=expand("<results>/sites/{site}/annotations.csv", site=SITES),
        gradcam=lambda wildcards: paths.prediction_files(
            EXAMPLES, wildcards.protocol, ".gradcam.npz"
        ),
        scored="<results>/evaluation/{protocol}/localisation_images.csv",
    output:
        pdf="<results>/figures/{protocol}/contact_sheet.pdf",
        png=report("<results>/figures/{protocol}/contact_sheet.png", **reported("contact_sheet")),
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
        order=SITES + study.names(EXAMPLES),
        sites=lambda wildcards, input: arguments.sites(
            config, input.images, input.samples, input.annotations
        ),
        gradcam=lambda wildcards, input: arguments.models("--gradcam", EXAMPLES, input.gradcam),
        titles=TITLES,
        mark=MARK,
        caption=caption("contact_sheet"),
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


rule failures:
    """Count right and wrong calls of all models, and show the worst errors of the first method."""
    input:
        images=IMAGES,
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
        annotations=expand("<results>/sites/{site}/annotations.csv", site=SITES),
        predictions=lambda wildcards: paths.prediction_files(MODELS, wildcards.protocol),
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
        png=report("<results>/figures/{protocol}/failures.png", **reported("failures")),
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
        order=SITES + study.names(MODELS),
        sites=lambda wildcards, input: arguments.sites(
            config, input.images, input.samples, input.annotations
        ),
        predictions=lambda wildcards, input: arguments.models(
            "--prediction", MODELS, input.predictions
        ),
        method=FIRST_METHOD,
        titles=TITLES,
        mark=MARK,
        caption=caption("failures"),
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
