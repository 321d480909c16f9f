#!/usr/bin/env python3
"""Run one experiment in the foreground, where a debugger works: `run_experiment_stub.py -h`."""

from configmill.cli.stub import main

if __name__ == "__main__":
    main()
