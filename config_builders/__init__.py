"""Config builders, one module a family of experiments."""
