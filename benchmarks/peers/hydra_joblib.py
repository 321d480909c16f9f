"""A Hydra app; its joblib launcher runs many experiments in each of a few worker processes."""

from pathlib import Path

import experiment
import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig


@hydra.main(version_base=None, config_path=".", config_name="hydra_joblib")
def main(config: DictConfig) -> None:
    """Write the result where Hydra keeps what belongs to the job."""
    experiment.run(config.index, str(Path(HydraConfig.get().runtime.output_dir).parent), config.work)


if __name__ == "__main__":
    main()
