"""What a user looks at; it renders events, a Summary or rows that the cli hands it.

terminal.py    a run in the terminal: plain lines, the summary, a dry run
live.py        the live table, where there is a terminal
tables.py      results, status and failures
lines.py       events as lines of text
durations.py   seconds for the eye
index_page.py  report/index.html: failures, plots, a row per config (index_data.py, index_failures.py, assets/index*)

notebook_page.py    an executed notebook as a page (page_head.py, page_exporter.py, assets/page*)
cell_matrix.py      the same cells of every config side by side (assets/cell_matrix*)
outputs.py          what a cell put out, as HTML (plotly_figures.py, latex.py, widgets.py)
fragments.py        HTML of an output, fit to stand in a page; clean_html.py: untrusted, with nothing that runs
saved_notebook.py   an executed notebook, read so that nothing in it surprises
thumbnails.py       its first plot, small
"""
