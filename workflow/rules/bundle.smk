"""A trained model with all that it needs elsewhere."""


rule bundle:
    """Give {wildcards.architecture} away: the model, its thresholds and its card."""
    input:
        model=lambda wildcards: paths.bundled_model(config, wildcards),
        predictions=lambda wildcards: paths.bundled_predictions(config, wildcards),
        images="<results>/sites.csv",
        split="<results>/splits/{protocol}.csv",
        metrics="<results>/evaluation/{protocol}/metrics.csv",
        subgroups="<results>/evaluation/{protocol}/subgroups.csv",
        participants="<results>/tables/participants.csv",
        audit="<results>/audit/{protocol}.csv",
    output:
        bundle="<results>/bundles/{protocol}/{architecture}/bundle.json",
        graph="<results>/bundles/{protocol}/{architecture}/model.onnx",
        weights="<results>/bundles/{protocol}/{architecture}/model.safetensors",
        card="<results>/bundles/{protocol}/{architecture}/card.md",
        page="<results>/bundles/{protocol}/{architecture}/card.html",
    log:
        "<logs>/bundle/{protocol}/{architecture}.log",
    benchmark:
        "<benchmarks>/bundle/{protocol}/{architecture}.tsv"
    conda:
        "../../envs/export.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=growing(30),
    params:
        code=code("inference.export"),
        folder=subpath(output.bundle, parent=True),
        method=FIRST_METHOD,
        seed=config["run"]["seeds"][0],
        findings=arguments.findings(config),
        titles=TITLES,
        settings=literal(settings.bundle(config)),
        mark=MARK,
    shell:
        """
        python -m chexviz.inference.export \
            --model {input.model:q} \
            --predictions {input.predictions:q} \
            --images {input.images:q} \
            --split {input.split:q} \
            --metrics {input.metrics:q} \
            --subgroups {input.subgroups:q} \
            --participants {input.participants:q} \
            --audit {input.audit:q} \
            --protocol {wildcards.protocol} \
            --method {params.method} \
            --seed {params.seed} \
            {params.findings} \
            --titles {params.titles:q} \
            --settings {params.settings:q} \
            --mark={params.mark:q} \
            --folder {params.folder:q} \
            2>&1 | tee {log:q}
        """


# A baseline of one site, to be seen beside the federated model: made when it is asked for.
use rule bundle as bundle_baseline with:
    input:
        model=lambda wildcards: paths.bundled_baseline(config, wildcards),
        predictions=lambda wildcards: paths.bundled_baseline_predictions(config, wildcards),
        images="<results>/sites.csv",
        split="<results>/splits/{protocol}.csv",
        metrics="<results>/evaluation/{protocol}/metrics.csv",
        subgroups="<results>/evaluation/{protocol}/subgroups.csv",
        participants="<results>/tables/participants.csv",
        audit="<results>/audit/{protocol}.csv",
    output:
        bundle="<results>/bundles/{protocol}/{architecture}/baseline/{site}/bundle.json",
        graph="<results>/bundles/{protocol}/{architecture}/baseline/{site}/model.onnx",
        weights="<results>/bundles/{protocol}/{architecture}/baseline/{site}/model.safetensors",
        card="<results>/bundles/{protocol}/{architecture}/baseline/{site}/card.md",
        page="<results>/bundles/{protocol}/{architecture}/baseline/{site}/card.html",
    log:
        "<logs>/bundle/{protocol}/{architecture}/baseline/{site}.log",
    benchmark:
        "<benchmarks>/bundle/{protocol}/{architecture}/baseline/{site}.tsv"
    params:
        code=code("inference.export"),
        folder=subpath(output.bundle, parent=True),
        method="baseline",
        seed=config["run"]["seeds"][0],
        findings=arguments.findings(config),
        titles=TITLES,
        settings=literal(settings.bundle(config)),
        mark=MARK,
