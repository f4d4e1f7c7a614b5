"""Raw files of every site, and pretrained weights."""


rule download:
    """Fetch the raw files of {wildcards.site}, and list them with their checksums."""
    input:
        stored=lambda wildcards: stored(wildcards.site),
    output:
        manifest="<resources>/{site}/manifest.csv",
        fetched="<resources>/{site}/fetched.csv",
    log:
        "<logs>/download/{site}.log",
    benchmark:
        "<benchmarks>/download/{site}.tsv"
    localrule: True
    conda:
        "../../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=growing(2000),
        runtime=growing(720),
    params:
        code=code("data.download"),
        settings=lambda wildcards: plan.text(plan.download(config, wildcards.site)),
        fingerprint=lambda wildcards: plan.fingerprint(config, wildcards.site),
    shell:
        """
        python -m chexviz.data.download \
            --site {wildcards.site} \
            --settings {params.settings:q} \
            --stored {input.stored:q} \
            --threads {threads} \
            --manifest {output.manifest:q} \
            2>&1 | tee {log:q}
        """


rule weights:
    """Get the pretrained representation block of {wildcards.architecture}."""
    input:
        local=lambda wildcards: unchanging(plan.local_weights(config, wildcards.architecture)),
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
        local=lambda wildcards: plan.contents(plan.local_weights(config, wildcards.architecture)),
        source=lambda wildcards: config["architectures"][wildcards.architecture]["weights"],
        sha256=lambda wildcards: config["architectures"][wildcards.architecture]["weights_sha256"]
        or "",
    shell:
        """
        python -m chexviz.models.weights \
            --source {params.source:q} \
            --sha256={params.sha256:q} \
            --output {output.weights:q} \
            2>&1 | tee {log:q}
        """
