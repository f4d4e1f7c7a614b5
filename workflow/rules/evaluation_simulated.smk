"""Simulated studies: whether paired tests and intervals can be believed."""


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
        settings=literal(config["evaluation"]["simulation"]),
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
        settings=literal(config["evaluation"]["coverage"]),
    shell:
        """
        python -m chexviz.evaluation.coverage \
            --settings {params.settings:q} \
            --csv {output.csv:q} \
            2>&1 | tee {log:q}
        """
