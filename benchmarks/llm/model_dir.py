"""Print the folder that the model is loaded from, fetched or converted first where need be.

python -m benchmarks.llm.model_dir
"""

from benchmarks.llm.builder import MODEL
from experiments.llm_inference.sources import resolve_model

if __name__ == "__main__":
    print(resolve_model(MODEL).path)
