"""Reports: what a run, plan or comparison says, for people.

`render.render` writes report.html, `terminal.summary_lines` the lines that a run ends with, `markdown.markdown` the
same findings for CI. Words stand in templates/text_en.toml and text_ko.toml, number formats in quantities.py.
"""
