"""The terminal.

reporter.py    a run: plain lines, the summary, a dry run
live.py        the live table, where there is a terminal
lines.py       events as lines of text
tables.py      results, status and failures
"""
