"""Energy: what an attempt, or a part of one, has used, by the best method that this host has.

meter.py      EnergyMeter, which picks a source, reads it around a window, and makes an EnergyReading
reading.py    the figure with its method, scope, uncertainty, and the reason for what is missing
carbon.py     grams of CO2e, with the factor and where it is from
devices.py    GPUs, by NVML's counter or else its power
rapl.py       the CPU's own counters, in /sys/class/powercap
modelled.py   codecarbon's estimate, which is no measurement
remote.py     the meter in a process of its own, for the minder; process.py is that process

Nothing of it is imported unless somebody asks for energy.
"""
