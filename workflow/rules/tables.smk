"""The tables of a protocol, and of who is on the images."""


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
        method=FIRST_METHOD,
        titles=TITLES,
        mark=MARK,
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
        histories=lambda wildcards: paths.history_files(config, wildcards.protocol),
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
        order=study.names(study.trainings(config)),
        histories=lambda wildcards, input: arguments.histories(config, input.histories),
        private=literal(settings.private(config)),
        titles=TITLES,
        mark=MARK,
    shell:
        """
        python -m chexviz.reporting.tables.methods \
            --metrics {input.metrics:q} \
            --comparisons {input.comparisons:q} \
            {params.histories} \
            --private {params.private:q} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --csv {output.csv:q} \
            --tex {output.tex:q} \
            --md {output.md:q} \
            2>&1 | tee {log:q}
        """


rule table_leaks:
    """Set the table of what attacks got."""
    input:
        inversion=paths.leak_files(config, "inversion"),
        membership=paths.leak_files(config, "membership"),
    output:
        csv=report(
            "<results>/tables/leaks.csv",
            caption="../report/leaks.rst",
            category="Privacy",
            labels={"shows": "what leaks, all models", "protocol": "all"},
        ),
        tex="<results>/tables/leaks.tex",
        md="<results>/tables/leaks.md",
    log:
        "<logs>/table_leaks.log",
    benchmark:
        "<benchmarks>/table_leaks.tsv"
    localrule: True
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.tables.leaks"),
        order=study.names(study.attacked_models(config)),
        mark=MARK,
    shell:
        """
        python -m chexviz.reporting.tables.leaks \
            --inversion {input.inversion:q} \
            --membership {input.membership:q} \
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
        method=FIRST_METHOD,
        titles=TITLES,
        mark=MARK,
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


rule table_external:
    """Set the table of all models on images of external sites."""
    input:
        metrics="<results>/evaluation/{protocol}/metrics.csv",
        comparisons="<results>/evaluation/{protocol}/comparisons.csv",
    output:
        csv=report(
            "<results>/tables/{protocol}/external.csv",
            caption="../report/external.rst",
            category="Evaluation",
            labels={"shows": "external sites", "protocol": "{protocol}"},
        ),
        tex="<results>/tables/{protocol}/external.tex",
        md="<results>/tables/{protocol}/external.md",
    log:
        "<logs>/table_external/{protocol}.log",
    benchmark:
        "<benchmarks>/table_external/{protocol}.tsv"
    localrule: True
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("reporting.tables.external"),
        titles=TITLES,
        mark=MARK,
    shell:
        """
        python -m chexviz.reporting.tables.external \
            --metrics {input.metrics:q} \
            --comparisons {input.comparisons:q} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --csv {output.csv:q} \
            --tex {output.tex:q} \
            --md {output.md:q} \
            2>&1 | tee {log:q}
        """


rule participants:
    """Count images from the files found to the subsets, and who is on them."""
    input:
        samples=expand("<results>/sites/{site}/samples.csv", site=SITES),
        rejected=expand("<results>/sites/{site}/rejected.csv", site=SITES),
        manifest=expand("<resources>/{site}/manifest.csv", site=SITES),
        fetched=expand("<resources>/{site}/fetched.csv", site=SITES),
        split=expand("<results>/splits/{protocol}.csv", protocol=PROTOCOLS),
    output:
        sources="<results>/audit/sources.csv",
        flow="<results>/audit/flow.csv",
        csv=report(
            "<results>/tables/participants.csv",
            caption="../report/participants.rst",
            category="Audit",
            labels={"shows": "characteristics of the images", "protocol": "all"},
        ),
        tex="<results>/tables/participants.tex",
        md="<results>/tables/participants.md",
        pdf="<results>/figures/flow.pdf",
        png=report("<results>/figures/flow.png", **reported("flow")),
    log:
        "<logs>/participants.log",
    benchmark:
        "<benchmarks>/participants.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=code("reporting.tables.participants"),
        order=SITES + PROTOCOLS,
        sites=lambda wildcards, input: arguments.sites(
            config, input.samples, input.rejected, input.manifest, input.fetched
        ),
        splits=lambda wildcards, input: arguments.splits(config, input.split),
        titles=TITLES,
        mark=MARK,
        caption=caption("flow"),
    shell:
        """
        python -m chexviz.reporting.tables.participants \
            {params.sites} \
            {params.splits} \
            --titles {params.titles:q} \
            --mark={params.mark:q} \
            --sources {output.sources:q} \
            --flow {output.flow:q} \
            --csv {output.csv:q} \
            --tex {output.tex:q} \
            --md {output.md:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            2>&1 | tee {log:q}
        """
