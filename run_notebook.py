#!/usr/bin/env python3
"""Run a notebook over a list of configs: `run_notebook.py -h`."""

from configmill.cli.run_notebook import main

if __name__ == "__main__":
    main()
