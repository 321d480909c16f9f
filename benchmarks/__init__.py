"""Measurements of Configmill beside other tools."""
