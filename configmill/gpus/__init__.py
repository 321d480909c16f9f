"""The devices of this host: which there are, who has them, and how they pass from one experiment to the next.

nvml.py         the one edge to pynvml; its errors become `NvmlError`
devices.py      `Device`, and what `--gpus` selects within CUDA_VISIBLE_DEVICES
detector.py     `GPUDetector`: the same for whoever asks by index
lease_dir.py    the directory of the locks, shared by all users of the host
records.py      what a lock's file says of who holds it
leftovers.py    whether anything of a former holder still runs
memory.py       whether a device's memory is free to be used
leases.py       a device's lock: taken, handed to a minder, let go
tickets.py      a manager that has waited too long goes first
host_lease.py   the host, shared by all that runs or one measurer's alone
sampler.py      how the devices of running attempts are used over time
device_pool.py  the devices of one manager: grants of all or none, least used first
pool.py         `GPUResourcePool`: a queue before it, for threads and for asyncio
"""
