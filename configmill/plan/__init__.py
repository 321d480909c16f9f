"""From what the user asked to the list of experiments to run, without creating anything.

plan.py        builder string -> configs, identities, what is selected
decide.py      what of it runs and what is already done, and why
targets.py     whether the experiment's function exists, without importing it
selection.py   --index, --indices, --start_from_index
"""
