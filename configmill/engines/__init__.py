"""Where experiments run. Now: `local`, threads of this process (engines/local.py)."""
