"""How an attempt is started: by the fork server (warm) or as a new Python process (cold).

launcher.py        which of the two, and what becomes of a fork server that is lost
warm.py, cold.py   the two, each with the minder as the manager sees it
minders.py         which processes are no orphans, and the end of those that are
native_threads.py  how many threads native libraries may start in an experiment
"""
