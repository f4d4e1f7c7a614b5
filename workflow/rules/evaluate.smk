"""Metrics, intervals and paired tests of all models of a protocol; the tables of them."""


rule evaluate:
    """Compare all models under protocol {wildcards.protocol}."""
    input:
        predictions=lambda wildcards: plan.prediction_files(MODELS, wildcards.protocol),
    output:
        metrics=report(
            "<results>/evaluation/{protocol}/metrics.csv",
            caption="../report/metrics.rst",
            category="Evaluation",
            labels={"shows": "metrics", "protocol": "{protocol}"},
        ),
        comparisons=report(
            "<results>/evaluation/{protocol}/comparisons.csv",
            caption="../report/comparisons.rst",
            category="Evaluation",
            labels={"shows": "tests, all models", "protocol": "{protocol}"},
        ),
        roc="<results>/evaluation/{protocol}/roc.csv",
    log:
        "<logs>/evaluate/{protocol}.log",
    benchmark:
        "<benchmarks>/evaluate/{protocol}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=code("evaluation.evaluate"),
        order=plan.names(MODELS),
        predictions=lambda wildcards, input: plan.model_arguments(
            "--prediction", MODELS, input.predictions
        ),
        tasks=plan.task_arguments(config),
        settings=literal(plan.text(plan.take(config["evaluation"], "bootstrap", "minimum_cases"))),
        margin=config["evaluation"]["margin"],
    shell:
        """
        python -m chexviz.evaluation.evaluate \
            {params.predictions} \
            {params.tasks} \
            --settings {params.settings:q} \
            --margin {params.margin} \
            --metrics {output.metrics:q} \
            --comparisons {output.comparisons:q} \
            --roc {output.roc:q} \
            2>&1 | tee {log:q}
        """


rule table1:
    """Set Table 1 in the paper's layout: the baseline and the first method."""
    input:
        metrics="<results>/evaluation/{protocol}/metrics.csv",
        comparisons="<results>/evaluation/{protocol}/comparisons.csv",
    output:
        csv=report(
            "<results>/tables/{protocol}/table1.csv",
            caption="../report/table1.rst",
            category="Paper",
            labels={"shows": "Table 1", "protocol": "{protocol}"},
        ),
        tex="<results>/tables/{protocol}/table1.tex",
        md="<results>/tables/{protocol}/table1.md",
    log:
        "<logs>/table1/{protocol}.log",
    benchmark:
        "<benchmarks>/table1/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.tables.table1"),
        method=config["run"]["methods"][0],
        titles=literal(plan.text(plan.titles(config))),
        mark=literal(config["mark"]),
    shell:
        """
        python -m chexviz.reporting.tables.table1 \
            --metrics {input.metrics:q} \
            --comparisons {input.comparisons:q} \
            --method {params.method} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --csv {output.csv:q} \
            --tex {output.tex:q} \
            --md {output.md:q} \
            2>&1 | tee {log:q}
        """


rule table_methods:
    """Set the table of all methods."""
    input:
        metrics="<results>/evaluation/{protocol}/metrics.csv",
        comparisons="<results>/evaluation/{protocol}/comparisons.csv",
        histories=lambda wildcards: plan.history_files(config, wildcards.protocol),
    output:
        csv=report(
            "<results>/tables/{protocol}/methods.csv",
            caption="../report/methods.rst",
            category="Evaluation",
            labels={"shows": "all methods", "protocol": "{protocol}"},
        ),
        tex="<results>/tables/{protocol}/methods.tex",
        md="<results>/tables/{protocol}/methods.md",
    log:
        "<logs>/table_methods/{protocol}.log",
    benchmark:
        "<benchmarks>/table_methods/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.tables.methods"),
        order=plan.names(plan.histories(config)),
        histories=lambda wildcards, input: plan.history_arguments(config, input),
        titles=literal(plan.text(plan.titles(config))),
        mark=literal(config["mark"]),
    shell:
        """
        python -m chexviz.reporting.tables.methods \
            --metrics {input.metrics:q} \
            --comparisons {input.comparisons:q} \
            {params.histories} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --csv {output.csv:q} \
            --tex {output.tex:q} \
            --md {output.md:q} \
            2>&1 | tee {log:q}
        """


rule table_tests:
    """Set the table of all paired tests of the first method."""
    input:
        comparisons="<results>/evaluation/{protocol}/comparisons.csv",
    output:
        csv=report(
            "<results>/tables/{protocol}/tests.csv",
            caption="../report/tests.rst",
            category="Evaluation",
            labels={"shows": "tests, first method", "protocol": "{protocol}"},
        ),
        tex="<results>/tables/{protocol}/tests.tex",
        md="<results>/tables/{protocol}/tests.md",
    log:
        "<logs>/table_tests/{protocol}.log",
    benchmark:
        "<benchmarks>/table_tests/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.tables.tests"),
        method=config["run"]["methods"][0],
        titles=literal(plan.text(plan.titles(config))),
        mark=literal(config["mark"]),
    shell:
        """
        python -m chexviz.reporting.tables.tests \
            --comparisons {input.comparisons:q} \
            --method {params.method} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --csv {output.csv:q} \
            --tex {output.tex:q} \
            --md {output.md:q} \
            2>&1 | tee {log:q}
        """


rule simulation:
    """Simulate two equally good models: how often does each paired test call them different?"""
    output:
        csv=report(
            "<results>/evaluation/simulation.csv",
            caption="../report/simulation.rst",
            category="Evaluation",
            labels={"shows": "simulation of the tests, table", "protocol": "all"},
        ),
    log:
        "<logs>/simulation.log",
    benchmark:
        "<benchmarks>/simulation.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        code=code("evaluation.simulation"),
        settings=literal(plan.text(config["evaluation"]["simulation"])),
    shell:
        """
        python -m chexviz.evaluation.simulation \
            --settings {params.settings:q} \
            --csv {output.csv:q} \
            2>&1 | tee {log:q}
        """


rule coverage:
    """Simulate studies: how often do intervals hold the truth, and paired tests their level?"""
    output:
        csv=report(
            "<results>/evaluation/coverage.csv",
            caption="../report/coverage.rst",
            category="Evaluation",
            labels={"shows": "coverage of the intervals, table", "protocol": "all"},
        ),
    log:
        "<logs>/coverage.log",
    benchmark:
        "<benchmarks>/coverage.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        code=code("evaluation.coverage"),
        settings=literal(plan.text(config["evaluation"]["coverage"])),
    shell:
        """
        python -m chexviz.evaluation.coverage \
            --settings {params.settings:q} \
            --csv {output.csv:q} \
            2>&1 | tee {log:q}
        """
