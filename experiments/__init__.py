"""Experiments, one module or package a family. They import configmill, never the reverse."""
