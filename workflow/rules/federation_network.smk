"""The federation as processes that speak by Flower, in place of the one in a process."""


ruleorder: train_over_network > train_federated


rule train_over_network:
    """Train {wildcards.architecture} over all sites by {wildcards.method}, a process for each."""
    input:
        images="<results>/sites.csv",
        split="<results>/splits/{protocol}.csv",
        weights=lambda wildcards: paths.weight_files(config, wildcards.architecture),
        duplicates=lambda wildcards: paths.duplicate_files(config, wildcards.method),
    output:
        model="<results>/models/{protocol}/{architecture}/{method}/seed{seed}/global.safetensors",
        history=report(
            "<results>/models/{protocol}/{architecture}/{method}/seed{seed}/global.history.csv",
            caption="../report/history.rst",
            category="Training",
            labels={
                "shows": "history",
                "protocol": "{protocol}",
                "architecture": "{architecture}",
                "method": "{method}",
                "seed": "{seed}",
                "site": "all",
            },
        ),
    log:
        "<logs>/train/{protocol}/{architecture}/{method}/seed{seed}/global.log",
    benchmark:
        "<benchmarks>/train/{protocol}/{architecture}/{method}/seed{seed}/global.tsv"
    conda:
        FEDERATION_ENVIRONMENT
    threads: config["training"]["threads"] * len(TRAINING_SITES)
    resources:
        mem_mb=growing(16000),
        runtime=growing(2880),
        gpu=1,
    params:
        code=code("federation.network.local"),
        sites=arguments.learning(config, TRAINING_SITES),
        settings=lambda wildcards: settings.text(
            settings.train(config, wildcards.architecture, wildcards.method)
        ),
        warmup=lambda wildcards: settings.head_warmup(
            config, wildcards.architecture, wildcards.method
        ),
        checkpoint=subpath(output.model, strip_suffix=".safetensors"),
    shell:
        """
        python -m chexviz.federation.network.local \
            --architecture {wildcards.architecture} \
            {params.sites} \
            --images {input.images:q} \
            --split {input.split:q} \
            --weights {input.weights:q} \
            --duplicates {input.duplicates:q} \
            --warmup={params.warmup:q} \
            --seed {wildcards.seed} \
            --protocol {wildcards.protocol} \
            --settings {params.settings:q} \
            --checkpoint {params.checkpoint:q}.checkpoint \
            --model {output.model:q} \
            --history {output.history:q} \
            2>&1 | tee {log:q}
        """
