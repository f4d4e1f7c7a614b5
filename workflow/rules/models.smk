"""Pretrained weights before the trainings, and the scores and maps of every model after them."""


rule weights:
    """Get the pretrained representation block of {wildcards.architecture}."""
    input:
        local=lambda wildcards: unchanging(paths.local_weights(config, wildcards.architecture)),
    output:
        weights="<resources>/weights/{architecture}.safetensors",
    log:
        "<logs>/weights/{architecture}.log",
    benchmark:
        "<benchmarks>/weights/{architecture}.tsv"
    localrule: True
    conda:
        TRAINING_ENVIRONMENT
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=code("models.weights"),
        local=lambda wildcards: paths.checksum(paths.local_weights(config, wildcards.architecture)),
        source=lambda wildcards: config["architectures"][wildcards.architecture]["weights"],
        sha256=lambda wildcards: config["architectures"][wildcards.architecture]["weights_sha256"]
        or "",
    shell:
        """
        python -m chexviz.models.weights \
            --architecture {wildcards.architecture} \
            --source {params.source:q} \
            --sha256={params.sha256:q} \
            --output {output.weights:q} \
            2>&1 | tee {log:q}
        """


rule predict:
    """Score all images that training did not see, and map where the model looked."""
    input:
        models=lambda wildcards: paths.model_files(config, wildcards),
        images="<results>/sites.csv",
        split="<results>/splits/{protocol}.csv",
    output:
        predictions="<results>/predictions/{protocol}/{architecture}/{method}/seed{seed}.csv",
        gradcam="<results>/predictions/{protocol}/{architecture}/{method}/seed{seed}.gradcam.npz",
        features="<results>/predictions/{protocol}/{architecture}/{method}/seed{seed}.features.npz",
    log:
        "<logs>/predict/{protocol}/{architecture}/{method}/seed{seed}.log",
    benchmark:
        "<benchmarks>/predict/{protocol}/{architecture}/{method}/seed{seed}.tsv"
    conda:
        TRAINING_ENVIRONMENT
    threads: config["training"]["threads"]
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
        gpu=1,
    params:
        code=code("models.predict"),
        findings=arguments.findings(config),
        ensemble=lambda wildcards: "--ensemble" * study.is_ensemble(config, wildcards.method),
        untrained=arguments.untrained,
        settings=literal({"threads": config["training"]["threads"]}),
    shell:
        """
        python -m chexviz.models.predict \
            --model {input.models:q} \
            {params.ensemble} \
            {params.findings} \
            --images {input.images:q} \
            --split {input.split:q} \
            --settings {params.settings:q} \
            --predictions {output.predictions:q} \
            --gradcam {output.gradcam:q} \
            --features {output.features:q} \
            {params.untrained} \
            2>&1 | tee {log:q}
        """
