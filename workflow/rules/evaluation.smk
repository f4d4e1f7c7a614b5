"""From the scores of all models of a protocol to numbers, and how sure they are."""


rule evaluate:
    """Compare all models under protocol {wildcards.protocol}."""
    input:
        predictions=lambda wildcards: paths.prediction_files(MODELS, wildcards.protocol),
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
        order=study.names(MODELS),
        predictions=lambda wildcards, input: arguments.models(
            "--prediction", MODELS, input.predictions
        ),
        findings=arguments.findings(config),
        settings=literal(settings.evaluation(config)),
        margin=config["evaluation"]["margin"],
    shell:
        """
        python -m chexviz.evaluation.evaluate \
            {params.predictions} \
            {params.findings} \
            --settings {params.settings:q} \
            --margin {params.margin} \
            --metrics {output.metrics:q} \
            --comparisons {output.comparisons:q} \
            --roc {output.roc:q} \
            2>&1 | tee {log:q}
        """


rule calibrate:
    """Judge the probabilities of all models under protocol {wildcards.protocol}."""
    input:
        predictions=lambda wildcards: paths.prediction_files(MODELS, wildcards.protocol),
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
        order=study.names(MODELS),
        predictions=lambda wildcards, input: arguments.models(
            "--prediction", MODELS, input.predictions
        ),
        findings=arguments.findings(config),
        settings=literal(settings.evaluation(config, "sensitivities")),
    shell:
        """
        python -m chexviz.evaluation.calibrate \
            {params.predictions} \
            {params.findings} \
            --settings {params.settings:q} \
            --calibration {output.calibration:q} \
            --reliability {output.reliability:q} \
            --distribution {output.distribution:q} \
            --operating-points {output.operating_points:q} \
            --decision {output.decision:q} \
            2>&1 | tee {log:q}
        """


rule subgroups:
    """Measure all models by view, sex and age under protocol {wildcards.protocol}."""
    input:
        predictions=lambda wildcards: paths.prediction_files(MODELS, wildcards.protocol),
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
    output:
        table=report(
            "<results>/evaluation/{protocol}/subgroups.csv",
            caption="../report/subgroups.rst",
            category="Subgroups",
            labels={"shows": "table", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/subgroups/{protocol}.log",
    benchmark:
        "<benchmarks>/subgroups/{protocol}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=code("evaluation.subgroups"),
        order=study.names(MODELS),
        predictions=lambda wildcards, input: arguments.models(
            "--prediction", MODELS, input.predictions
        ),
        findings=arguments.findings(config),
        samples=lambda wildcards, input: arguments.samples(config, input.samples),
        settings=literal(settings.evaluation(config, "subgroups")),
    shell:
        """
        python -m chexviz.evaluation.subgroups \
            {params.predictions} \
            {params.findings} \
            {params.samples} \
            --settings {params.settings:q} \
            --output {output.table:q} \
            2>&1 | tee {log:q}
        """


rule shortcuts:
    """Measure what all models owe to attributes under protocol {wildcards.protocol}."""
    input:
        predictions=lambda wildcards: paths.prediction_files(MODELS, wildcards.protocol),
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
    output:
        table=report(
            "<results>/evaluation/{protocol}/shortcuts.csv",
            caption="../report/shortcuts.rst",
            category="Subgroups",
            labels={"shows": "shortcuts, table", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/shortcuts/{protocol}.log",
    benchmark:
        "<benchmarks>/shortcuts/{protocol}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=code("evaluation.shortcuts"),
        order=study.names(MODELS),
        predictions=lambda wildcards, input: arguments.models(
            "--prediction", MODELS, input.predictions
        ),
        findings=arguments.findings(config),
        samples=lambda wildcards, input: arguments.samples(config, input.samples),
        settings=literal(settings.evaluation(config, "subgroups")),
    shell:
        """
        python -m chexviz.evaluation.shortcuts \
            {params.predictions} \
            {params.findings} \
            {params.samples} \
            --settings {params.settings:q} \
            --output {output.table:q} \
            2>&1 | tee {log:q}
        """


rule representation:
    """Tell view, sex and attributes from all representations under {wildcards.protocol}."""
    input:
        features=lambda wildcards: paths.prediction_files(
            MODELS, wildcards.protocol, ".features.npz"
        ),
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
    output:
        table=report(
            "<results>/evaluation/{protocol}/representation.csv",
            caption="../report/representation.rst",
            category="Subgroups",
            labels={"shows": "representation, table", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/representation/{protocol}.log",
    benchmark:
        "<benchmarks>/representation/{protocol}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code("evaluation.representation"),
        order=study.names(MODELS),
        features=lambda wildcards, input: arguments.models("--features", MODELS, input.features),
        samples=lambda wildcards, input: arguments.samples(config, input.samples),
        settings=literal(settings.evaluation(config, "subgroups")),
    shell:
        """
        python -m chexviz.evaluation.representation \
            {params.features} \
            {params.samples} \
            --settings {params.settings:q} \
            --output {output.table:q} \
            2>&1 | tee {log:q}
        """


rule crosstask:
    """Compare all heads of every model on the same images under protocol {wildcards.protocol}."""
    input:
        predictions=lambda wildcards: paths.prediction_files(MODELS, wildcards.protocol),
    output:
        table=report(
            "<results>/evaluation/{protocol}/crosstask.csv",
            caption="../report/crosstask.rst",
            category="Cross-task",
            labels={"shows": "table", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/crosstask/{protocol}.log",
    benchmark:
        "<benchmarks>/crosstask/{protocol}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=code("evaluation.crosstask"),
        order=study.names(MODELS),
        predictions=lambda wildcards, input: arguments.models(
            "--prediction", MODELS, input.predictions
        ),
        findings=arguments.findings(config),
        settings=literal(settings.evaluation(config)),
    shell:
        """
        python -m chexviz.evaluation.crosstask \
            {params.predictions} \
            {params.findings} \
            --settings {params.settings:q} \
            --output {output.table:q} \
            2>&1 | tee {log:q}
        """


rule localise:
    """Score the Grad-CAM maps of all models' true positives under {wildcards.protocol}."""
    input:
        annotations=expand("<results>/sites/{site}/annotations.csv", site=SITES),
        predictions=lambda wildcards: paths.prediction_files(MODELS, wildcards.protocol),
        gradcam=lambda wildcards: paths.prediction_files(MODELS, wildcards.protocol, ".gradcam.npz"),
        split="<results>/splits/{protocol}.csv",
        metrics="<results>/evaluation/{protocol}/metrics.csv",
    output:
        summary=report(
            "<results>/evaluation/{protocol}/localisation.csv",
            caption="../report/localisation_table.rst",
            category="Localisation",
            labels={"shows": "agreement, table", "protocol": "{protocol}"},
        ),
        images="<results>/evaluation/{protocol}/localisation_images.csv",
    log:
        "<logs>/localise/{protocol}.log",
    benchmark:
        "<benchmarks>/localise/{protocol}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=code("evaluation.localise"),
        order=study.names(MODELS),
        sites=lambda wildcards, input: arguments.sites(config, input.annotations),
        predictions=lambda wildcards, input: arguments.models(
            "--prediction", MODELS, input.predictions, input.gradcam
        ),
        settings=literal(settings.localise(config)),
    shell:
        """
        python -m chexviz.evaluation.localise \
            {params.sites} \
            {params.predictions} \
            --split {input.split:q} \
            --metrics {input.metrics:q} \
            --settings {params.settings:q} \
            --images {output.images:q} \
            --summary {output.summary:q} \
            2>&1 | tee {log:q}
        """


rule chexlocalize:
    """Score the maps of all images with a finding, as CheXlocalize does, under {wildcards.protocol}."""
    input:
        annotations=expand("<results>/sites/{site}/annotations.csv", site=SITES),
        predictions=lambda wildcards: paths.prediction_files(MODELS, wildcards.protocol),
        gradcam=lambda wildcards: paths.prediction_files(MODELS, wildcards.protocol, ".gradcam.npz"),
        metrics="<results>/evaluation/{protocol}/metrics.csv",
    output:
        table=report(
            "<results>/evaluation/{protocol}/chexlocalize.csv",
            caption="../report/chexlocalize.rst",
            category="Localisation",
            labels={"shows": "mIoU, hit rate, lungs", "protocol": "{protocol}"},
        ),
    log:
        "<logs>/chexlocalize/{protocol}.log",
    benchmark:
        "<benchmarks>/chexlocalize/{protocol}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=code("evaluation.chexlocalize"),
        order=study.names(MODELS),
        sites=lambda wildcards, input: arguments.sites(config, input.annotations),
        predictions=lambda wildcards, input: arguments.models(
            "--prediction", MODELS, input.predictions, input.gradcam
        ),
        settings=literal(settings.localise(config)),
    shell:
        """
        python -m chexviz.evaluation.chexlocalize \
            {params.sites} \
            {params.predictions} \
            --metrics {input.metrics:q} \
            --settings {params.settings:q} \
            --output {output.table:q} \
            2>&1 | tee {log:q}
        """
