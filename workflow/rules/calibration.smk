"""Calibration, operating points and decision curves of all models of a protocol."""


rule calibrate:
    """Judge the probabilities of all models under protocol {wildcards.protocol}."""
    input:
        predictions=lambda wildcards: plan.prediction_files(MODELS, wildcards.protocol),
    output:
        calibration=report(
            "<results>/evaluation/{protocol}/calibration.csv",
            caption="../report/calibration.rst",
            category="Calibration",
            labels={"shows": "calibration", "protocol": "{protocol}"},
        ),
        operating_points=report(
            "<results>/evaluation/{protocol}/operating_points.csv",
            caption="../report/operating_points.rst",
            category="Calibration",
            labels={"shows": "operating points", "protocol": "{protocol}"},
        ),
        decision="<results>/evaluation/{protocol}/decision.csv",
        reliability="<results>/evaluation/{protocol}/reliability.csv",
        distribution="<results>/evaluation/{protocol}/distribution.csv",
    log:
        "<logs>/calibrate/{protocol}.log",
    benchmark:
        "<benchmarks>/calibrate/{protocol}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=code("evaluation.calibrate"),
        order=plan.names(MODELS),
        predictions=lambda wildcards, input: plan.model_arguments(
            "--prediction", MODELS, input.predictions
        ),
        tasks=plan.task_arguments(config),
        settings=literal(
            plan.text(
                plan.take(config["evaluation"], "bootstrap", "minimum_cases", "sensitivities")
            )
        ),
    shell:
        """
        python -m chexviz.evaluation.calibrate \
            {params.predictions} \
            {params.tasks} \
            --settings {params.settings:q} \
            --calibration {output.calibration:q} \
            --reliability {output.reliability:q} \
            --distribution {output.distribution:q} \
            --operating-points {output.operating_points:q} \
            --decision {output.decision:q} \
            2>&1 | tee {log:q}
        """


rule figure_calibration:
    """Draw reliability diagrams, baseline against the first method."""
    input:
        calibration="<results>/evaluation/{protocol}/calibration.csv",
        reliability="<results>/evaluation/{protocol}/reliability.csv",
        distribution="<results>/evaluation/{protocol}/distribution.csv",
    output:
        pdf="<results>/figures/{protocol}/calibration.pdf",
        png=report(
            "<results>/figures/{protocol}/calibration.png",
            caption="../report/calibration_figure.rst",
            category="Calibration",
            labels={"shows": "reliability diagrams", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/figure_calibration/{protocol}.log",
    benchmark:
        "<benchmarks>/figure_calibration/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.calibration"),
        method=config["run"]["methods"][0],
        titles=literal(plan.text(plan.titles(config))),
        mark=literal(config["mark"]),
    shell:
        """
        python -m chexviz.reporting.figures.calibration \
            --calibration {input.calibration:q} \
            --reliability {input.reliability:q} \
            --distribution {input.distribution:q} \
            --method {params.method} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule figure_decision:
    """Draw decision curves, baseline against the first method."""
    input:
        decision="<results>/evaluation/{protocol}/decision.csv",
    output:
        pdf="<results>/figures/{protocol}/decision.pdf",
        png=report(
            "<results>/figures/{protocol}/decision.png",
            caption="../report/decision_figure.rst",
            category="Calibration",
            labels={"shows": "decision curves", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/figure_decision/{protocol}.log",
    benchmark:
        "<benchmarks>/figure_decision/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.decision"),
        method=config["run"]["methods"][0],
        titles=literal(plan.text(plan.titles(config))),
        mark=literal(config["mark"]),
    shell:
        """
        python -m chexviz.reporting.figures.decision \
            --decision {input.decision:q} \
            --method {params.method} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """
