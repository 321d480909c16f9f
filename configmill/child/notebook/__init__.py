"""A notebook as an experiment: papermill in the experiment's process, its kernel one process below.

importing.py what is imported for that: papermill, without what it needs for the web
runner.py    perform_notebook: one attempt from beginning to end
source.py    the notebook, as papermill loads it
session.py   papermill's client: a kernel started over ipc, made part of the experiment, asked, ended
client.py    cell after cell: time-outs, interrupts, a dead kernel, what each cell raised
keeper.py    papermill's execution manager: saves the notebook as cells start, print and finish
sockets.py   the folder of the kernel's sockets, which the minder makes and removes
ending.py    SIGTERM: the cell is interrupted first, so that the notebook shows where it was
kernel.py    what runs inside the kernel
executed.py  which cells ran, failed, or never did; plain JSON, used by the manager too

Only `runner`, `source`, `client`, `session` and `keeper` import packages, and only the experiment's own process imports
them.
"""
