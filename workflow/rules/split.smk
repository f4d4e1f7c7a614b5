"""Which images train and which evaluate, by protocol, and what leaks between them."""


rule split:
    """Divide the images by protocol {wildcards.protocol}, and audit the leakage of it."""
    input:
        code=code("split"),
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
        duplicates="<results>/duplicates.csv",
    output:
        split="<results>/splits/{protocol}.csv",
        audit=report(
            "<results>/audit/{protocol}.csv",
            caption="../report/audit.rst",
            category="Audit",
            labels={"shows": "leakage", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/split/{protocol}.log",
    benchmark:
        "<benchmarks>/split/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        sites=SITES,
        settings=lambda wildcards: plan.text(plan.split(config, wildcards.protocol)),
    shell:
        """
        python -m chexviz.split \
            --protocol {wildcards.protocol} \
            --site {params.sites} \
            --samples {input.samples:q} \
            --duplicates {input.duplicates:q} \
            --settings {params.settings:q} \
            --split {output.split:q} \
            --audit {output.audit:q} \
            2>&1 | tee {log:q}
        """
