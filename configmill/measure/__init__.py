"""What is measured of an attempt and its surroundings: provenance and the host's memory pressure.

Child side: it imports only the standard library, `config` and what lies below.
"""
