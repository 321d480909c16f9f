"""How an attempt is started. Now: `cold`, a new Python process for each (launch/cold.py).

native_threads.py says how many threads native libraries may start in it.
"""
