"""The command line: arguments -> RunRequest, the parts wired together, exit codes.

run_experiment.py   main() of run_experiment.py
stub.py             main() of run_experiment_stub.py
umbrella.py         main() of configmill: results, status, failures
options.py          the options of a run
parser.py           argparse, with flags in both spellings and errors in two sentences
exits.py            exceptions -> exit codes
"""
