"""`python -m configmill`: the umbrella command."""

from configmill.cli.umbrella import main

main()
