"""Figures of what models achieve."""


rule figure2:
    """Draw the ROC curves, baseline against the first method."""
    input:
        roc="<results>/evaluation/{protocol}/roc.csv",
        metrics="<results>/evaluation/{protocol}/metrics.csv",
        comparisons="<results>/evaluation/{protocol}/comparisons.csv",
    output:
        pdf="<results>/figures/{protocol}/figure2.pdf",
        png=report("<results>/figures/{protocol}/figure2.png", **reported("figure2")),
    log:
        "<logs>/figure2/{protocol}.log",
    benchmark:
        "<benchmarks>/figure2/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.roc_curves"),
        method=FIRST_METHOD,
        titles=TITLES,
        mark=MARK,
        caption=caption("figure2"),
    shell:
        """
        python -m chexviz.reporting.figures.roc_curves \
            --roc {input.roc:q} \
            --metrics {input.metrics:q} \
            --comparisons {input.comparisons:q} \
            --method {params.method} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
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
        png=report("<results>/figures/{protocol}/calibration.png", **reported("calibration")),
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
        method=FIRST_METHOD,
        titles=TITLES,
        mark=MARK,
        caption=caption("calibration"),
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
        png=report("<results>/figures/{protocol}/decision.png", **reported("decision")),
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
        method=FIRST_METHOD,
        titles=TITLES,
        mark=MARK,
        caption=caption("decision"),
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


rule figure_subgroups:
    """Draw AUROC by view, sex, age and attributes, baseline beside the first method."""
    input:
        table="<results>/evaluation/{protocol}/subgroups.csv",
    output:
        pdf="<results>/figures/{protocol}/subgroups.pdf",
        png=report("<results>/figures/{protocol}/subgroups.png", **reported("subgroups")),
    log:
        "<logs>/figure_subgroups/{protocol}.log",
    benchmark:
        "<benchmarks>/figure_subgroups/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.subgroups"),
        method=FIRST_METHOD,
        titles=TITLES,
        mark=MARK,
        caption=caption("subgroups"),
    shell:
        """
        python -m chexviz.reporting.figures.subgroups \
            --subgroups {input.table:q} \
            --method {params.method} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule figure_shortcuts:
    """Draw AUROC within groups and across them, baseline beside the first method."""
    input:
        table="<results>/evaluation/{protocol}/shortcuts.csv",
    output:
        pdf="<results>/figures/{protocol}/shortcuts.pdf",
        png=report("<results>/figures/{protocol}/shortcuts.png", **reported("shortcuts")),
    log:
        "<logs>/figure_shortcuts/{protocol}.log",
    benchmark:
        "<benchmarks>/figure_shortcuts/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.shortcuts"),
        method=FIRST_METHOD,
        titles=TITLES,
        mark=MARK,
        caption=caption("shortcuts"),
    shell:
        """
        python -m chexviz.reporting.figures.shortcuts \
            --shortcuts {input.table:q} \
            --method {params.method} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule figure_crosstask:
    """Draw the scores of every head of the first method on every site's images."""
    input:
        table="<results>/evaluation/{protocol}/crosstask.csv",
    output:
        pdf="<results>/figures/{protocol}/crosstask.pdf",
        png=report("<results>/figures/{protocol}/crosstask.png", **reported("crosstask")),
    log:
        "<logs>/figure_crosstask/{protocol}.log",
    benchmark:
        "<benchmarks>/figure_crosstask/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.crosstask"),
        method=FIRST_METHOD,
        titles=TITLES,
        mark=MARK,
        caption=caption("crosstask"),
    shell:
        """
        python -m chexviz.reporting.figures.crosstask \
            --crosstask {input.table:q} \
            --method {params.method} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule figure_localisation:
    """Draw how well the maps of all models agree with the annotations."""
    input:
        localisation="<results>/evaluation/{protocol}/localisation.csv",
    output:
        pdf="<results>/figures/{protocol}/localisation.pdf",
        png=report("<results>/figures/{protocol}/localisation.png", **reported("localisation")),
    log:
        "<logs>/figure_localisation/{protocol}.log",
    benchmark:
        "<benchmarks>/figure_localisation/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.localisation"),
        titles=TITLES,
        mark=MARK,
        caption=caption("localisation"),
    shell:
        """
        python -m chexviz.reporting.figures.localisation \
            --localisation {input.localisation:q} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule figure_chexlocalize:
    """Draw mIoU, hit rate and energy within the lungs of all models."""
    input:
        chexlocalize="<results>/evaluation/{protocol}/chexlocalize.csv",
    output:
        pdf="<results>/figures/{protocol}/chexlocalize.pdf",
        png=report("<results>/figures/{protocol}/chexlocalize.png", **reported("chexlocalize")),
    log:
        "<logs>/figure_chexlocalize/{protocol}.log",
    benchmark:
        "<benchmarks>/figure_chexlocalize/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.chexlocalize"),
        titles=TITLES,
        mark=MARK,
        caption=caption("chexlocalize"),
    shell:
        """
        python -m chexviz.reporting.figures.chexlocalize \
            --chexlocalize {input.chexlocalize:q} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule figure_external:
    """Draw AUROC at external sites, of the first method and of the baseline of every site."""
    input:
        metrics="<results>/evaluation/{protocol}/metrics.csv",
        comparisons="<results>/evaluation/{protocol}/comparisons.csv",
    output:
        pdf="<results>/figures/{protocol}/external.pdf",
        png=report("<results>/figures/{protocol}/external.png", **reported("external")),
    log:
        "<logs>/figure_external/{protocol}.log",
    benchmark:
        "<benchmarks>/figure_external/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.external"),
        method=FIRST_METHOD,
        titles=TITLES,
        mark=MARK,
        caption=caption("external"),
    shell:
        """
        python -m chexviz.reporting.figures.external \
            --metrics {input.metrics:q} \
            --comparisons {input.comparisons:q} \
            --method {params.method} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule figure_epsilon:
    """Draw AUROC and leaks against epsilon, of the methods with differential privacy."""
    input:
        methods="<results>/tables/{protocol}/methods.csv",
        membership=lambda wildcards: paths.leaks_by_epsilon(
            config, wildcards.protocol, "membership"
        ),
        inversion=lambda wildcards: paths.leaks_by_epsilon(config, wildcards.protocol, "inversion"),
    output:
        pdf="<results>/figures/{protocol}/epsilon.pdf",
        png=report("<results>/figures/{protocol}/epsilon.png", **reported("epsilon")),
    log:
        "<logs>/figure_epsilon/{protocol}.log",
    benchmark:
        "<benchmarks>/figure_epsilon/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.epsilon"),
        without=study.without_privacy(config),
        titles=TITLES,
        mark=MARK,
        caption=caption("epsilon"),
    shell:
        """
        python -m chexviz.reporting.figures.epsilon \
            --methods {input.methods:q} \
            --without {params.without} \
            --membership {input.membership:q} \
            --inversion {input.inversion:q} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """


rule figure_privacy:
    """Draw what a curious server sees, and whether models tell who trained them."""
    input:
        inversion=paths.leak_files(config, "inversion"),
        pictures=[f"{path[:-4]}.npz" for path in paths.leak_files(config, "inversion")[:1]],
        membership=paths.leak_files(config, "membership"),
        roc=paths.leak_files(config, "membership_roc"),
    output:
        pdf="<results>/figures/privacy.pdf",
        png=report("<results>/figures/privacy.png", **reported("privacy")),
    log:
        "<logs>/figure_privacy.log",
    benchmark:
        "<benchmarks>/figure_privacy.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.figures.privacy"),
        order=study.names(study.attacked_models(config)),
        mark=MARK,
        caption=caption("privacy"),
    shell:
        """
        python -m chexviz.reporting.figures.privacy \
            --inversion {input.inversion:q} \
            --pictures {input.pictures:q} \
            --membership {input.membership:q} \
            --roc {input.roc:q} \
            --mark={params.mark:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """
