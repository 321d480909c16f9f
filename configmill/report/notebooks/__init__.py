"""Executed notebooks as pages.

page.py            one notebook (assets/page*); head.py: what stands above it; exporter.py: nbconvert's part
cell_matrix.py     the same cells of every config side by side (assets/cell_matrix*)
outputs.py         what a cell put out, as HTML; plotly_figures.py, latex.py, widgets.py: kinds of it
fragments.py       HTML of an output, fit to stand in a page; clean_html.py: untrusted, with nothing that runs
saved_notebook.py  an executed notebook, read so that nothing in it surprises
thumbnails.py      its first plot, small
encoded_text.py    a config's values as text
"""
