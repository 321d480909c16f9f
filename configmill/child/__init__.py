"""What runs inside the experiment's process.

    experiment_process.py  the minder's fork that becomes the experiment
    notebook/      a notebook as an experiment
    ranks/         an experiment that is several processes, started by accelerate launch
    python.py      a Python of this library's in a process of its own
    stub.py        one attempt from beginning to end: build the config, call the function, save, report
    rebuild.py     the config, built again from the environment and checked against the manager's
    target.py      the experiment's function, found by its name
    user_logging.py  standard logging, configured when it is first imported
    termination.py SIGTERM as an exception
    current.py     which attempt this process belongs to
    context.py     what user code calls while it runs: log_metrics, save_checkpoint, load_checkpoint
    results.py     what user code returns or logs, as JSON
    failures.py    an exception, as a class of failure
    record.py      the record of an attempt, and how it is written

It imports only `config`, `measure`, `protocol`, `files` and `errors`: a cold start pays for nothing else. `notebook/`
is the exception: see there.
"""
