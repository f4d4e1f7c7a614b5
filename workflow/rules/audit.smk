"""Whether labels and tags can be trusted, and a figure of that and of what leaks."""


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
        tasks=plan.tasks(config),
    shell:
        """
        python -m chexviz.cohort.label_checks \
            --site {params.sites} \
            --task {params.tasks:q} \
            --samples {input.samples:q} \
            --duplicates {input.duplicates:q} \
            --output {output.table:q} \
            2>&1 | tee {log:q}
        """


rule figure_audit:
    """Draw what evaluation images share with training images, and labels by view and sex."""
    input:
        audit=expand("<results>/audit/{protocol}.csv", protocol=PROTOCOLS),
        labels="<results>/audit/labels.csv",
    output:
        pdf="<results>/figures/audit.pdf",
        png=report(
            "<results>/figures/audit.png",
            caption="../report/audit_figure.rst",
            category="Audit",
            labels={"shows": "all of it, figure", "protocol": "all"},
        ),
    log:
        "<logs>/figure_audit.log",
    benchmark:
        "<benchmarks>/figure_audit.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.audit"),
        order=PROTOCOLS,
        settings=literal(plan.text({"sites": plan.titles(config)})),
        mark=literal(config["mark"]),
    shell:
        """
        python -m chexviz.reporting.figures.audit \
            --audit {input.audit:q} \
            --labels {input.labels:q} \
            --settings {params.settings:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """
