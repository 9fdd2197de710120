"""Where a deployment keeps its state. Knows one environment variable and nothing else."""

import os
from pathlib import Path

CHECKPOINT = "training.pt"  # in the folder of every run, of either stage, that has learned something


def home() -> Path:
    """The folder of all state (takes, ratings, runs, own adapters): HUVIDPO_HOME, by default ./.huvidpo."""
    return Path(os.environ.get("HUVIDPO_HOME") or ".huvidpo").expanduser().resolve()
