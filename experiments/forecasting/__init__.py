"""Forecast two real series with textbook models, scored over rolling origins.

run_experiment.py --experiment_builder experiments.forecasting.run_experiment \
  --config_builder "config_builders.forecasting.build_ar_configs()" --dst_dir out/forecast --num_threads 2
"""

import os

# numpy reads it when it is imported. The matrices here are tiny, and where experiments share the cores, OpenBLAS's
# threads spin while they wait for one another: two at once on two cores took 20 times the processor time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from experiments.forecasting.experiment import run_experiment

__all__ = ["run_experiment"]
