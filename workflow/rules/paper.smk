"""The paper itself."""


rule paper:
    """Typeset the paper; every number in it is read from the result files."""
    input:
        results=paths.paper_files(config),
    output:
        pdf=report(
            "<results>/paper.pdf",
            caption="../report/paper.rst",
            category="Paper",
            labels={"shows": "the paper (PDF)", "protocol": "all"},
        ),
    log:
        "<logs>/paper.log",
    benchmark:
        "<benchmarks>/paper.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code(
            "reporting.paper.paper",
            "paper/paper.typ",
            "paper/reporting.typ",
            "paper/references.bib",
        ),
        results=subpath(output.pdf, parent=True),
        settings=literal(settings.paper(config)),
        mark=MARK,
    shell:
        """
        python -m chexviz.reporting.paper.paper \
            --template "$CHEXVIZ/paper/paper.typ" "$CHEXVIZ/paper/reporting.typ" \
            --bibliography "$CHEXVIZ/paper/references.bib" \
            --results {params.results:q} \
            --settings {params.settings:q} \
            --mark={params.mark:q} \
            --output {output.pdf:q} \
            2>&1 | tee {log:q}
        """
