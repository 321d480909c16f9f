"""Which experiment goes next: pure logic, the clock passed in.

retry.py     the one retry policy
queue.py     what waits, what runs, what is over
"""
