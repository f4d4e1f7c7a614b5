"""A line of text that means something in every language that a text of the config passes through.

matplotlib: $x^2$, an odd $, a leading underscore. Snakemake: {word}, <results>. LaTeX and Typst:
commands, comments, emphasis, references. HTML, Markdown and reStructuredText: tags, entities,
tables, links, roles. Spreadsheets, CSV and shells: quotes, commas, a substitution.
"""

TEXT = (
    r"_$x^2$ 5 $ {word} <results> \input{a} %s 100% #eval *b* `c` |d| __e__ :sub:`f` "
    r"<script>g</script> &amp; [h](i) ~j^k @l $(touch m) 'n' "
    '"o", </p> !p'
)
