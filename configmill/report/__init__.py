"""What a user looks at: the terminal (report/terminal.py). It renders events and a Summary that the cli hands it."""
