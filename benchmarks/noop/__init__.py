"""An experiment that does nothing, and its configs: what remains is what the manager costs."""
