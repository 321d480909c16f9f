"""An experiment that does nothing but import what learning usually imports, and its configs."""
