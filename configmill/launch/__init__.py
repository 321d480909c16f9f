"""How an attempt is started. Now: `cold`, a new Python process for each (launch/cold.py)."""
