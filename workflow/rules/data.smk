"""Raw files of every site, and those to packed arrays and tables."""


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
        settings=lambda wildcards: settings.text(settings.download(config, wildcards.site)),
        fingerprint=lambda wildcards: paths.fingerprint(config, wildcards.site),
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


rule preprocess:
    """Decode, resize and pack the radiographs of {wildcards.site}."""
    input:
        manifest="<resources>/{site}/manifest.csv",
        tables=lambda wildcards: unchanging(paths.local_tables(config, wildcards.site)),
    output:
        images="<results>/sites/{site}/images.npy",
        samples="<results>/sites/{site}/samples.csv",
        annotations="<results>/sites/{site}/annotations.csv",
        rejected="<results>/sites/{site}/rejected.csv",
        contract=report(
            "<results>/sites/{site}/contract.csv",
            caption="../report/contract.rst",
            category="Audit",
            labels={"shows": "data contract", "protocol": "all", "site": "{site}"},
        ),
    log:
        "<logs>/preprocess/{site}.log",
    benchmark:
        "<benchmarks>/preprocess/{site}.tsv"
    wildcard_constraints:
        site=any_of(config["sites"].keys() - SHARDED),
    conda:
        "../../envs/data.yaml"
    threads: 8
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        code=code("data.preprocess"),
        tables=lambda wildcards: paths.tables_checksum(config, wildcards.site),
        settings=lambda wildcards: settings.text(settings.preprocess(config, wildcards.site)),
        shard="1 1",
    shell:
        """
        python -m chexviz.data.preprocess \
            --site {wildcards.site} \
            --manifest {input.manifest:q} \
            --settings {params.settings:q} \
            --threads {threads} \
            --shard {params.shard} \
            --images {output.images:q} \
            --samples {output.samples:q} \
            --annotations {output.annotations:q} \
            --rejected {output.rejected:q} \
            --contract {output.contract:q} \
            2>&1 | tee {log:q}
        """


use rule preprocess as preprocess_shard with:
    output:
        images="<results>/sites/{site}/shards/{shard}/images.npy",
        samples="<results>/sites/{site}/shards/{shard}/samples.csv",
        annotations="<results>/sites/{site}/shards/{shard}/annotations.csv",
        rejected="<results>/sites/{site}/shards/{shard}/rejected.csv",
        contract="<results>/sites/{site}/shards/{shard}/contract.csv",
    log:
        "<logs>/preprocess/{site}/{shard}.log",
    benchmark:
        "<benchmarks>/preprocess/{site}/{shard}.tsv"
    wildcard_constraints:
        site=any_of(SHARDED),
    params:
        code=code("data.preprocess"),
        tables=lambda wildcards: paths.tables_checksum(config, wildcards.site),
        settings=lambda wildcards: settings.text(settings.preprocess(config, wildcards.site)),
        shard=lambda wildcards: f"{wildcards.shard} {config['sites'][wildcards.site]['shards']}",


rule merge:
    """Join the tables of the shards of {wildcards.site}; their images stay where they are."""
    input:
        images=lambda wildcards: paths.shard_files(config, wildcards.site, "images.npy"),
        samples=lambda wildcards: paths.shard_files(config, wildcards.site, "samples.csv"),
        annotations=lambda wildcards: paths.shard_files(config, wildcards.site, "annotations.csv"),
        rejected=lambda wildcards: paths.shard_files(config, wildcards.site, "rejected.csv"),
        contract=lambda wildcards: paths.shard_files(config, wildcards.site, "contract.csv"),
    output:
        index="<results>/sites/{site}/shards.csv",
        samples="<results>/sites/{site}/samples.csv",
        annotations="<results>/sites/{site}/annotations.csv",
        rejected="<results>/sites/{site}/rejected.csv",
        contract=report(
            "<results>/sites/{site}/contract.csv",
            caption="../report/contract.rst",
            category="Audit",
            labels={"shows": "data contract", "protocol": "all", "site": "{site}"},
        ),
    log:
        "<logs>/merge/{site}.log",
    benchmark:
        "<benchmarks>/merge/{site}.tsv"
    wildcard_constraints:
        site=any_of(SHARDED),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=code("data.merge_shards"),
        settings=lambda wildcards: settings.text(
            {"contract": settings.contract(config, wildcards.site)}
        ),
    shell:
        """
        python -m chexviz.data.merge_shards \
            --site {wildcards.site} \
            --settings {params.settings:q} \
            --shards {input.images:q} \
            --index {output.index:q} \
            --samples {output.samples:q} \
            --annotations {output.annotations:q} \
            --rejected {output.rejected:q} \
            --contract {output.contract:q} \
            2>&1 | tee {log:q}
        """


rule arrays:
    """List the arrays of all sites."""
    input:
        images=IMAGES,
    output:
        index="<results>/sites.csv",
    log:
        "<logs>/arrays.log",
    benchmark:
        "<benchmarks>/arrays.tsv"
    localrule: True
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        code=code("data.list_arrays"),
        sites=SITES,
    shell:
        """
        python -m chexviz.data.list_arrays \
            --site {params.sites} \
            --images {input.images:q} \
            --output {output.index:q} \
            2>&1 | tee {log:q}
        """
