"""The language model that is timed by the experiment and by hand: its configs, and what measuring it costs."""
