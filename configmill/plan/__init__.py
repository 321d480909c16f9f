"""From what the user asked to the list of experiments to run, without creating anything.

plan.py        builder string -> configs, identities, what is selected
decide.py      what of it runs and what is already done, and why
targets.py     whether the experiment's function exists, without importing it
resources.py   what configs, an estimator and the command line ask for
estimates.py   asking the estimator, in a process of its own
meetable.py    whether what is asked for can ever be had here
selection.py   --index, --indices, --start_from_index
"""
