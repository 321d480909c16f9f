"""The manager: from a RunRequest to a Summary.

run.py          the one loop
campaign_run.py one command's state: the queue, the minders, what became of each experiment
signals.py      Ctrl-C and SIGTERM, as calls
summarise.py    what came of it
run_record.py   runs/<run>.json and runs/<run>.log
"""
