"""What a user looks at; it renders events, a Summary or rows that the cli hands it.

terminal.py    a run in the terminal: plain lines, the summary, a dry run
live.py        the live table, where there is a terminal
tables.py      results, status and failures
lines.py       events as lines of text
durations.py   seconds for the eye
index_page.py  report/index.html: failures, plots, a row per config (index_data.py, index_failures.py, assets/index*)
"""
