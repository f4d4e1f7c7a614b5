"""Near-identical images, which images train and which evaluate, what leaks, and the labels."""


rule duplicates:
    """Find near-identical images within and across all sites."""
    input:
        images=IMAGES,
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
        code=code("cohort.duplicates"),
        sites=SITES,
        settings=literal(config["duplicates"]),
    shell:
        """
        python -m chexviz.cohort.duplicates \
            --site {params.sites} \
            --images {input.images:q} \
            --samples {input.samples:q} \
            --settings {params.settings:q} \
            --output {output.pairs:q} \
            2>&1 | tee {log:q}
        """


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
        role=lambda wildcards: config["sites"][wildcards.site]["role"],
        findings=lambda wildcards: config["sites"][wildcards.site]["findings"],
        given=lambda wildcards: study.with_given_split(config, [wildcards.site]),
        settings=literal(settings.split(config, "paper")),
    shell:
        """
        python -m chexviz.cohort.split \
            --protocol paper \
            --findings {wildcards.site} {params.role} {params.findings} \
            --given {params.given} \
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
        split=paths.split_files(config, "patient"),
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
        findings=arguments.findings(config),
        given=study.with_given_split(config, SITES),
        settings=literal(settings.split(config, "patient")),
    shell:
        """
        python -m chexviz.cohort.split \
            --protocol patient \
            {params.findings} \
            --given {params.given} \
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
        split=lambda wildcards: paths.split_files(config, wildcards.protocol),
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


rule labels:
    """Check labels and tags of all sites: conflicts, missing tags, class balance."""
    input:
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
        duplicates="<results>/duplicates.csv",
    output:
        table=report(
            "<results>/audit/labels.csv",
            caption="../report/audit_labels.rst",
            category="Audit",
            labels={"shows": "labels and tags", "protocol": "all"},
        ),
    log:
        "<logs>/labels.log",
    benchmark:
        "<benchmarks>/labels.tsv"
    localrule: True
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("cohort.label_checks"),
        sites=SITES,
    shell:
        """
        python -m chexviz.cohort.label_checks \
            --site {params.sites} \
            --samples {input.samples:q} \
            --duplicates {input.duplicates:q} \
            --output {output.table:q} \
            2>&1 | tee {log:q}
        """
