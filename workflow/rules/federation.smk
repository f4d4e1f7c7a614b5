"""Trainings: head warm-up, the baseline of every site, federations of all sites."""


rule warmup:
    """Train the task block of {wildcards.site} on the frozen {wildcards.architecture}."""
    input:
        images=lambda wildcards: paths.image_file(config, wildcards.site),
        split="<results>/splits/{protocol}/{site}.csv",
        weights=lambda wildcards: paths.weight_files(config, wildcards.architecture),
    output:
        task="<results>/models/{protocol}/{architecture}/warmup/seed{seed}/{site}.safetensors",
    log:
        "<logs>/warmup/{protocol}/{architecture}/seed{seed}/{site}.log",
    benchmark:
        "<benchmarks>/warmup/{protocol}/{architecture}/seed{seed}/{site}.tsv"
    conda:
        TRAINING_ENVIRONMENT
    threads: config["training"]["threads"]
    resources:
        mem_mb=growing(8000),
        runtime=growing(240),
        gpu=1,
    params:
        code=code("federation.warmup"),
        site=lambda wildcards: arguments.learning(config, [wildcards.site]),
        settings=lambda wildcards: settings.text(settings.warmup(config, wildcards.architecture)),
    shell:
        """
        python -m chexviz.federation.warmup \
            --architecture {wildcards.architecture} \
            {params.site} \
            --images {input.images:q} \
            --split {input.split:q} \
            --weights {input.weights:q} \
            --seed {wildcards.seed} \
            --settings {params.settings:q} \
            --task {output.task:q} \
            2>&1 | tee {log:q}
        """


rule warmup_shared:
    """Train the heads of all sites on the frozen {wildcards.architecture}, for {wildcards.method}."""
    input:
        images="<results>/sites.csv",
        split="<results>/splits/{protocol}.csv",
        weights=lambda wildcards: paths.weight_files(config, wildcards.architecture),
    output:
        task="<results>/models/{protocol}/{architecture}/warmup/seed{seed}/shared/{method}.safetensors",
    log:
        "<logs>/warmup/{protocol}/{architecture}/seed{seed}/shared/{method}.log",
    benchmark:
        "<benchmarks>/warmup/{protocol}/{architecture}/seed{seed}/shared/{method}.tsv"
    conda:
        TRAINING_ENVIRONMENT
    threads: config["training"]["threads"]
    resources:
        mem_mb=growing(16000),
        runtime=growing(480),
        gpu=1,
    params:
        code=code("federation.warmup"),
        sites=arguments.learning(config, TRAINING_SITES),
        settings=lambda wildcards: settings.text(
            settings.warmup(config, wildcards.architecture, wildcards.method)
        ),
    shell:
        """
        python -m chexviz.federation.warmup \
            --architecture {wildcards.architecture} \
            {params.sites} \
            --images {input.images:q} \
            --split {input.split:q} \
            --weights {input.weights:q} \
            --seed {wildcards.seed} \
            --settings {params.settings:q} \
            --task {output.task:q} \
            2>&1 | tee {log:q}
        """


rule train_baseline:
    """Train {wildcards.architecture} on {wildcards.site} alone."""
    input:
        images=lambda wildcards: paths.image_file(config, wildcards.site),
        split="<results>/splits/{protocol}/{site}.csv",
        weights=lambda wildcards: paths.weight_files(config, wildcards.architecture),
        task=lambda wildcards: paths.task_files(config, wildcards),
    output:
        model="<results>/models/{protocol}/{architecture}/baseline/seed{seed}/{site}.safetensors",
        history=report(
            "<results>/models/{protocol}/{architecture}/baseline/seed{seed}/{site}.history.csv",
            caption="../report/history.rst",
            category="Training",
            labels={
                "shows": "history",
                "protocol": "{protocol}",
                "architecture": "{architecture}",
                "method": "baseline",
                "seed": "{seed}",
                "site": "{site}",
            },
        ),
    log:
        "<logs>/train/{protocol}/{architecture}/baseline/seed{seed}/{site}.log",
    benchmark:
        "<benchmarks>/train/{protocol}/{architecture}/baseline/seed{seed}/{site}.tsv"
    conda:
        TRAINING_ENVIRONMENT
    threads: config["training"]["threads"]
    resources:
        mem_mb=growing(8000),
        runtime=growing(1440),
        gpu=1,
    params:
        code=code("federation.train"),
        site=lambda wildcards: arguments.learning(config, [wildcards.site]),
        settings=lambda wildcards: settings.text(
            settings.train(config, wildcards.architecture, "baseline")
        ),
        # Not an output: Snakemake deletes the outputs of a job that is killed.
        checkpoint=subpath(output.model, strip_suffix=".safetensors"),
    shell:
        """
        python -m chexviz.federation.train \
            --architecture {wildcards.architecture} \
            {params.site} \
            --images {input.images:q} \
            --split {input.split:q} \
            --weights {input.weights:q} \
            --task {input.task:q} \
            --seed {wildcards.seed} \
            --protocol {wildcards.protocol} \
            --settings {params.settings:q} \
            --checkpoint {params.checkpoint:q}.checkpoint \
            --model {output.model:q} \
            --history {output.history:q} \
            2>&1 | tee {log:q}
        """


rule train_federated:
    """Train {wildcards.architecture} over all sites by {wildcards.method}."""
    input:
        images="<results>/sites.csv",
        split="<results>/splits/{protocol}.csv",
        weights=lambda wildcards: paths.weight_files(config, wildcards.architecture),
        task=lambda wildcards: paths.task_files(config, wildcards),
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
        TRAINING_ENVIRONMENT
    threads: config["training"]["threads"]
    resources:
        mem_mb=growing(16000),
        runtime=growing(2880),
        gpu=1,
    params:
        code=code("federation.train"),
        sites=arguments.learning(config, TRAINING_SITES),
        settings=lambda wildcards: settings.text(
            settings.train(config, wildcards.architecture, wildcards.method)
        ),
        checkpoint=subpath(output.model, strip_suffix=".safetensors"),
    shell:
        """
        python -m chexviz.federation.train \
            --architecture {wildcards.architecture} \
            {params.sites} \
            --images {input.images:q} \
            --split {input.split:q} \
            --weights {input.weights:q} \
            --duplicates {input.duplicates:q} \
            --task {input.task:q} \
            --seed {wildcards.seed} \
            --protocol {wildcards.protocol} \
            --settings {params.settings:q} \
            --checkpoint {params.checkpoint:q}.checkpoint \
            --model {output.model:q} \
            --history {output.history:q} \
            2>&1 | tee {log:q}
        """
