"""What leaks: attacks on what sites send, and on the models, where `run: privacy` asks for it."""

SHADOWS = study.shadows(config)
SHADOW = "|".join(SHADOWS)
ATTACKED_SPLIT = f"<results>/splits/{study.bundled_protocol(config)}.csv"
FIRST_SEED = config["run"]["seeds"][0]


rule shadows:
    """Draw which half of all patients trains each model of the attacker."""
    input:
        split=ATTACKED_SPLIT,
        duplicates="<results>/duplicates.csv",
    output:
        splits=expand("<results>/privacy/splits/{shadow}.csv", shadow=SHADOWS),
    log:
        "<logs>/shadows.log",
    benchmark:
        "<benchmarks>/shadows.tsv"
    localrule: True
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("privacy.shadows"),
        sites=TRAINING_SITES,
        settings=literal({"seed": FIRST_SEED}),
    shell:
        """
        python -m chexviz.privacy.shadows \
            --split {input.split:q} \
            --site {params.sites} \
            --duplicates {input.duplicates:q} \
            --settings {params.settings:q} \
            --shadows {output.splits:q} \
            2>&1 | tee {log:q}
        """


# The attacker's models are trained as the run's are, from the same weights, by the same rules.
use rule warmup as warmup_of_shadow with:
    input:
        images=lambda wildcards: paths.image_file(config, wildcards.site),
        split="<results>/privacy/splits/{protocol}.csv",
        weights=lambda wildcards: paths.weight_files(config, wildcards.architecture),
    output:
        task="<results>/models/{protocol}/{architecture}/warmup/seed{seed}/{site}.safetensors",
    wildcard_constraints:
        protocol=SHADOW,


use rule warmup_shared as warmup_shared_of_shadow with:
    input:
        images="<results>/sites.csv",
        split="<results>/privacy/splits/{protocol}.csv",
        weights=lambda wildcards: paths.weight_files(config, wildcards.architecture),
    output:
        task="<results>/models/{protocol}/{architecture}/warmup/seed{seed}/shared/{method}.safetensors",
    wildcard_constraints:
        protocol=SHADOW,


use rule train_federated as train_shadow with:
    input:
        images="<results>/sites.csv",
        split="<results>/privacy/splits/{protocol}.csv",
        weights=lambda wildcards: paths.weight_files(config, wildcards.architecture),
        task=lambda wildcards: paths.task_files(config, wildcards),
        duplicates=lambda wildcards: paths.duplicate_files(config, wildcards.method),
    output:
        model="<results>/models/{protocol}/{architecture}/{method}/seed{seed}/global.safetensors",
        history="<results>/models/{protocol}/{architecture}/{method}/seed{seed}/global.history.csv",
    wildcard_constraints:
        protocol=SHADOW,


rule membership:
    """Ask who trained {wildcards.architecture} by {wildcards.method}."""
    input:
        images="<results>/sites.csv",
        split=ATTACKED_SPLIT,
        model=lambda wildcards: paths.attacked_model(config, wildcards),
        shadows=lambda wildcards: paths.shadow_files(config, wildcards),
        splits=expand("<results>/privacy/splits/{shadow}.csv", shadow=SHADOWS),
    output:
        table=report(
            "<results>/privacy/{architecture}/{method}/membership.csv",
            caption="../report/membership.rst",
            category="Privacy",
            labels={
                "shows": "membership inference",
                "protocol": "all",
                "architecture": "{architecture}",
                "method": "{method}",
            },
        ),
        roc="<results>/privacy/{architecture}/{method}/membership_roc.csv",
    log:
        "<logs>/membership/{architecture}/{method}.log",
    benchmark:
        "<benchmarks>/membership/{architecture}/{method}.tsv"
    conda:
        TRAINING_ENVIRONMENT
    threads: config["training"]["threads"]
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
        gpu=1,
    params:
        code=code("privacy.membership"),
        order=SHADOWS,
        sites=arguments.learning(config, TRAINING_SITES),
        seed=FIRST_SEED,
        settings=literal(settings.membership(config)),
    shell:
        """
        python -m chexviz.privacy.membership \
            {params.sites} \
            --images {input.images:q} \
            --split {input.split:q} \
            --model {input.model:q} \
            --shadows {input.shadows:q} \
            --splits {input.splits:q} \
            --architecture {wildcards.architecture} \
            --method {wildcards.method} \
            --seed {params.seed} \
            --settings {params.settings:q} \
            --table {output.table:q} \
            --roc {output.roc:q} \
            2>&1 | tee {log:q}
        """


rule inversion:
    """Reconstruct images from what a site sends when {wildcards.method} trains {wildcards.architecture}."""
    input:
        images="<results>/sites.csv",
        split=ATTACKED_SPLIT,
        weights=lambda wildcards: paths.weight_files(config, wildcards.architecture),
        task=lambda wildcards: paths.attacked_tasks(config, wildcards),
        duplicates=lambda wildcards: paths.duplicate_files(config, wildcards.method),
    output:
        table=report(
            "<results>/privacy/{architecture}/{method}/inversion.csv",
            caption="../report/inversion.rst",
            category="Privacy",
            labels={
                "shows": "gradient inversion",
                "protocol": "all",
                "architecture": "{architecture}",
                "method": "{method}",
            },
        ),
        pictures="<results>/privacy/{architecture}/{method}/inversion.npz",
    log:
        "<logs>/inversion/{architecture}/{method}.log",
    benchmark:
        "<benchmarks>/inversion/{architecture}/{method}.tsv"
    conda:
        TRAINING_ENVIRONMENT
    threads: config["training"]["threads"]
    resources:
        mem_mb=growing(8000),
        runtime=growing(480),
        gpu=1,
    params:
        code=code("privacy.inversion"),
        sites=arguments.learning(config, TRAINING_SITES),
        seed=FIRST_SEED,
        settings=lambda wildcards: settings.text(
            settings.train(config, wildcards.architecture, wildcards.method)
        ),
        attack=literal(settings.inversion(config)),
    shell:
        """
        python -m chexviz.privacy.inversion \
            --architecture {wildcards.architecture} \
            --method {wildcards.method} \
            {params.sites} \
            --images {input.images:q} \
            --split {input.split:q} \
            --weights {input.weights:q} \
            --task {input.task:q} \
            --duplicates {input.duplicates:q} \
            --seed {params.seed} \
            --settings {params.settings:q} \
            --attack {params.attack:q} \
            --table {output.table:q} \
            --pictures {output.pictures:q} \
            2>&1 | tee {log:q}
        """


rule hashes:
    """Attack the perceptual hashes that the audit between sites would exchange."""
    input:
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
        images="<results>/sites.csv",
    output:
        table=report(
            "<results>/privacy/hashes.csv",
            caption="../report/hashes.rst",
            category="Privacy",
            labels={"shows": "hashes of the audit", "protocol": "all"},
        ),
    log:
        "<logs>/hashes.log",
    benchmark:
        "<benchmarks>/hashes.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=code("privacy.hashes"),
        samples=lambda wildcards, input: arguments.samples(config, input.samples),
        settings=literal(settings.evaluation(config)),
    shell:
        """
        python -m chexviz.privacy.hashes \
            {params.samples} \
            --images {input.images:q} \
            --settings {params.settings:q} \
            --output {output.table:q} \
            2>&1 | tee {log:q}
        """
