"""Forecast two real series with textbook models, scored over rolling origins.

run_experiment.py --experiment_builder experiments.forecasting.run_experiment \
  --config_builder "config_builders.forecasting.build_ar_configs()" --dst_dir out/forecast --num_threads 2
"""

from experiments.forecasting.experiment import run_experiment

__all__ = ["run_experiment"]
