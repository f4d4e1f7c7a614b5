"""Which images train and which evaluate, by protocol, and what leaks between them."""


rule split_paper:
    """Divide the images of {wildcards.site} as the paper does."""
    input:
        samples="<results>/sites/{site}/samples.csv",
    output:
        split="<results>/splits/paper/{site}.csv",
    log:
        "<logs>/split/paper/{site}.log",
    benchmark:
        "<benchmarks>/split/paper/{site}.tsv"
    localrule: True
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=code("cohort.split"),
        settings=literal(plan.text(plan.split(config, "paper"))),
    shell:
        """
        python -m chexviz.cohort.split \
            --protocol paper \
            --site {wildcards.site} \
            --samples {input.samples:q} \
            --settings {params.settings:q} \
            --split {output.split:q} \
            2>&1 | tee {log:q}
        """


rule split_patient:
    """Divide the images of all sites so that none of a patient's are on both sides."""
    input:
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
        duplicates="<results>/duplicates.csv",
    output:
        split=plan.split_files(config, "patient"),
    log:
        "<logs>/split/patient.log",
    benchmark:
        "<benchmarks>/split/patient.tsv"
    localrule: True
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=code("cohort.split"),
        sites=SITES,
        settings=literal(plan.text(plan.split(config, "patient"))),
    shell:
        """
        python -m chexviz.cohort.split \
            --protocol patient \
            --site {params.sites} \
            --samples {input.samples:q} \
            --duplicates {input.duplicates:q} \
            --settings {params.settings:q} \
            --split {output.split:q} \
            2>&1 | tee {log:q}
        """


rule audit:
    """Join the splits of {wildcards.protocol}, and count what leaks into evaluation."""
    input:
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
        duplicates="<results>/duplicates.csv",
        split=lambda wildcards: plan.split_files(config, wildcards.protocol),
    output:
        audit=report(
            "<results>/audit/{protocol}.csv",
            caption="../report/audit.rst",
            category="Audit",
            labels={"shows": "leakage", "protocol": "{protocol}"},
        ),
        split="<results>/splits/{protocol}.csv",
    log:
        "<logs>/audit/{protocol}.log",
    benchmark:
        "<benchmarks>/audit/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=code("cohort.leakage"),
        sites=SITES,
    shell:
        """
        python -m chexviz.cohort.leakage \
            --protocol {wildcards.protocol} \
            --site {params.sites} \
            --samples {input.samples:q} \
            --duplicates {input.duplicates:q} \
            --split {input.split:q} \
            --audit {output.audit:q} \
            --joined {output.split:q} \
            2>&1 | tee {log:q}
        """
