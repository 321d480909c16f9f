"""Experiments that hold a device for a while and do nothing with it: what remains is what handing it out costs."""
