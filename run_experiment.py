#!/usr/bin/env python3
"""Run an experiment function over a list of configs: `run_experiment.py -h`."""

from configmill.cli.run_experiment import main

if __name__ == "__main__":
    main()
