"""The paper itself."""


rule paper:
    """Typeset the paper; every number in it is read from the result files."""
    input:
        unpack(lambda wildcards: plan.paper_files(config)),
        code=code("paper"),
        template=here("paper/paper.typ"),
        published=here("paper/published_table1.csv"),
        bibliography=here("paper/references.bib"),
    output:
        pdf=report(
            "<results>/paper.pdf",
            caption="../report/paper.rst",
            category="Paper",
            labels={"document": "the paper"},
        ),
    log:
        "<logs>/paper.log",
    benchmark:
        "<benchmarks>/paper.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        inputs=lambda wildcards, input: plan.paper_inputs(input),
        settings=plan.text(plan.paper(config)),
        mark=config["mark"],
    shell:
        """
        python -m chexviz.paper \
            --template {input.template:q} \
            --inputs {params.inputs:q} \
            --settings {params.settings:q} \
            --mark {params.mark:q} \
            --output {output.pdf:q} \
            2>&1 | tee {log:q}
        """
