"""What crosses a boundary: between manager, minder and experiment, and between Configmill and who reads its files.

attempt.py    which attempt a process is: environment variables
orders.py     what a minder is told besides: limits, descriptors
layout.py     names and places of files in a dst_dir
report.py     how the experiment ended, as it knows itself
status.py     the words for states and failures
timestamps.py how moments are written
outcome.py    what became of an attempt           (parent side: these import dataclasses,
request.py    what the user asked for              which a cold start does not pay for)
resources.py  what one experiment asks for
events.py     what happens while a run goes on
summary.py    what came of it all
"""

#: Version of everything that is written to files or passed to a child. A reader refuses a newer one.
FORMAT_VERSION = 1
