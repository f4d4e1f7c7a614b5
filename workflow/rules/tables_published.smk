"""What the original reports, beside what this run found."""


rule published:
    """Compare every published value with ours."""
    input:
        metrics="<results>/evaluation/paper/metrics.csv",
        comparisons="<results>/evaluation/paper/comparisons.csv",
    output:
        csv=report(
            "<results>/tables/published.csv",
            caption="../report/published.rst",
            category="Published and reproduced",
            labels={"shows": "published and ours", "protocol": "paper"},
        ),
        tex="<results>/tables/published.tex",
        md="<results>/tables/published.md",
    log:
        "<logs>/published.log",
    benchmark:
        "<benchmarks>/published.tsv"
    localrule: True
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code(
            "reporting.tables.published", "paper/published_table1.csv", "paper/published_data.csv"
        ),
        settings=literal(settings.published(config)),
        mark=MARK,
    shell:
        """
        python -m chexviz.reporting.tables.published \
            --published "$CHEXVIZ/paper/published_table1.csv" \
            --data "$CHEXVIZ/paper/published_data.csv" \
            --metrics {input.metrics:q} \
            --comparisons {input.comparisons:q} \
            --settings {params.settings:q} \
            --mark={params.mark:q} \
            --csv {output.csv:q} \
            --tex {output.tex:q} \
            --md {output.md:q} \
            2>&1 | tee {log:q}
        """


rule grim:
    """Find the evaluation sets that fit the published percentages."""
    output:
        csv=report(
            "<results>/tables/grim.csv",
            caption="../report/grim.rst",
            category="Published and reproduced",
            labels={"shows": "GRIM test", "protocol": "all"},
        ),
        tex="<results>/tables/grim.tex",
        md="<results>/tables/grim.md",
    log:
        "<logs>/grim.log",
    benchmark:
        "<benchmarks>/grim.tsv"
    localrule: True
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.tables.grim", "paper/published_table1.csv", "paper/published_data.csv"),
        mark=MARK,
    shell:
        """
        python -m chexviz.reporting.tables.grim \
            --published "$CHEXVIZ/paper/published_table1.csv" \
            --data "$CHEXVIZ/paper/published_data.csv" \
            --mark={params.mark:q} \
            --csv {output.csv:q} \
            --tex {output.tex:q} \
            --md {output.md:q} \
            2>&1 | tee {log:q}
        """


rule inflation:
    """Subtract the AUROC of whole patients from that of random images."""
    input:
        paper="<results>/evaluation/paper/metrics.csv",
        patient="<results>/evaluation/patient/metrics.csv",
        paper_split="<results>/splits/paper.csv",
        patient_split="<results>/splits/patient.csv",
    output:
        csv=report(
            "<results>/tables/inflation.csv",
            caption="../report/inflation.rst",
            category="Published and reproduced",
            labels={"shows": "inflation", "protocol": "all"},
        ),
        tex="<results>/tables/inflation.tex",
        md="<results>/tables/inflation.md",
    log:
        "<logs>/inflation.log",
    benchmark:
        "<benchmarks>/inflation.tsv"
    localrule: True
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.tables.inflation"),
        titles=TITLES,
        mark=MARK,
    shell:
        """
        python -m chexviz.reporting.tables.inflation \
            --paper {input.paper:q} \
            --patient {input.patient:q} \
            --paper-split {input.paper_split:q} \
            --patient-split {input.patient_split:q} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --csv {output.csv:q} \
            --tex {output.tex:q} \
            --md {output.md:q} \
            2>&1 | tee {log:q}
        """
