"""Which experiment goes next: pure logic; the time and what is free are told.

queue.py        what waits, what runs, what is over
job.py          a job; demand.py what it occupies; ticket.py its place
counter.py      where jobs get their tickets; waiting.py the index of those that wait
policies.py     the order, and how far a job may be overtaken
turns.py        when nothing may overtake a job any more; reservation.py the room that is kept for it then
prediction.py   how long a job is thought to run
retry.py        the one retry policy; failing.py devices and families of configs that fail on and on
simulator.py    the same queue without processes
"""
