"""Metrics, intervals and paired tests of all models of a protocol, and Table 1."""


rule evaluate:
    """Compare all models under protocol {wildcards.protocol}."""
    input:
        code=code("evaluate"),
        predictions=lambda wildcards: [
            plan.prediction_file(wildcards.protocol, one) for one in plan.predictions(config)
        ],
    output:
        metrics=report(
            "<results>/evaluation/{protocol}/metrics.csv",
            caption="../report/metrics.rst",
            category="Evaluation",
            labels={"protocol": "{protocol}", "shows": "metrics"},
        ),
        comparisons=report(
            "<results>/evaluation/{protocol}/comparisons.csv",
            caption="../report/comparisons.rst",
            category="Evaluation",
            labels={"protocol": "{protocol}", "shows": "paired tests"},
        ),
        roc="<results>/evaluation/{protocol}/roc.csv",
    log:
        "<logs>/evaluate/{protocol}.log",
    benchmark:
        "<benchmarks>/evaluate/{protocol}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        predictions=lambda wildcards, input: plan.evaluate_arguments(config, input),
        settings=plan.text(config["evaluation"]),
    shell:
        """
        python -m chexviz.evaluate \
            {params.predictions} \
            --settings {params.settings:q} \
            --metrics {output.metrics:q} \
            --comparisons {output.comparisons:q} \
            --roc {output.roc:q} \
            2>&1 | tee {log:q}
        """


rule table1:
    """Set Table 1 in the paper's layout."""
    input:
        code=code("table1"),
        metrics="<results>/evaluation/{protocol}/metrics.csv",
        comparisons="<results>/evaluation/{protocol}/comparisons.csv",
    output:
        csv=report(
            "<results>/tables/{protocol}/table1.csv",
            caption="../report/table1.rst",
            category="Table 1",
            labels={"protocol": "{protocol}"},
        ),
        tex="<results>/tables/{protocol}/table1.tex",
        md="<results>/tables/{protocol}/table1.md",
    log:
        "<logs>/table1/{protocol}.log",
    benchmark:
        "<benchmarks>/table1/{protocol}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        mark=config["mark"],
    shell:
        """
        python -m chexviz.table1 \
            --metrics {input.metrics:q} \
            --comparisons {input.comparisons:q} \
            --mark {params.mark:q} \
            --csv {output.csv:q} \
            --tex {output.tex:q} \
            --md {output.md:q} \
            2>&1 | tee {log:q}
        """
