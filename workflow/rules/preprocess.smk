"""Raw files to packed arrays, and the near-identical images among them."""


rule preprocess:
    """Decode, resize and pack the radiographs of {wildcards.site}."""
    input:
        code=code("preprocess"),
        manifest="<resources>/{site}/manifest.csv",
        patients=lambda wildcards: plan.local_patients(config, wildcards.site),
    output:
        images="<results>/sites/{site}/images.npy",
        samples="<results>/sites/{site}/samples.csv",
        annotations="<results>/sites/{site}/annotations.csv",
        rejected="<results>/sites/{site}/rejected.csv",
        contract=report(
            "<results>/sites/{site}/contract.csv",
            caption="../report/contract.rst",
            category="Audit",
            labels={"site": "{site}", "shows": "data contract"},
        ),
    log:
        "<logs>/preprocess/{site}.log",
    benchmark:
        "<benchmarks>/preprocess/{site}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 8
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        settings=lambda wildcards: plan.text(plan.preprocess(config, wildcards.site)),
    shell:
        """
        python -m chexviz.preprocess \
            --site {wildcards.site} \
            --manifest {input.manifest:q} \
            --settings {params.settings:q} \
            --threads {threads} \
            --images {output.images:q} \
            --samples {output.samples:q} \
            --annotations {output.annotations:q} \
            --rejected {output.rejected:q} \
            --contract {output.contract:q} \
            2>&1 | tee {log:q}
        """


rule duplicates:
    """Find near-identical images within and across all sites."""
    input:
        code=code("duplicates"),
        images=expand("<results>/sites/{site}/images.npy", site=SITES),
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
    output:
        pairs="<results>/duplicates.csv",
    log:
        "<logs>/duplicates.log",
    benchmark:
        "<benchmarks>/duplicates.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        sites=SITES,
        settings=plan.text(config["duplicates"]),
    shell:
        """
        python -m chexviz.duplicates \
            --site {params.sites} \
            --images {input.images:q} \
            --samples {input.samples:q} \
            --settings {params.settings:q} \
            --output {output.pairs:q} \
            2>&1 | tee {log:q}
        """
