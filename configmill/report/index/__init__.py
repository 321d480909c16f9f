"""The campaign's page, report/index.html.

page.py        the page itself, and the script file beside it
data.py        what its script (assets/index_*.js) is given
failures.py    failures, those that are alike together
energy.py      what was used, by method
"""
