"""A Hydra app; its joblib launcher runs many experiments in each of a few worker processes."""

import json
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig


@hydra.main(version_base=None, config_path=".", config_name="hydra_joblib")
def main(config: DictConfig) -> None:
    """Write the result where Hydra keeps what belongs to the job."""
    result = Path(HydraConfig.get().runtime.output_dir) / "result.json"
    result.write_text(json.dumps({"value": config.index}))


if __name__ == "__main__":
    main()
