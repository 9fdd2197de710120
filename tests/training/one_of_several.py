"""One of the processes of test_preference.py: trains what the folder in its argument holds."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import torch

from huvidpo.models.video_unet import VideoUNet
from huvidpo.pocket.components import new_scheduler
from huvidpo.training.preference import train_preference
from huvidpo.training.processes import join_processes, process_number
from huvidpo.training.reference import lora_state

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    join_processes()
    rank, count = process_number()
    assert count == 2
    state = torch.load(folder / "start.pt", weights_only=False)
    unet = VideoUNet.from_config(state["config"])
    unet.load_state_dict(state["unet"])
    pipeline = SimpleNamespace(unet=unet, scheduler=new_scheduler())
    run = train_preference(
        pipeline,
        state["encoded"],
        state["settings"],
        folder / "two",
        4,
        "these examples",
        validate=lambda step: 0.5 + rank,
    )
    rows = [record.to_row() for record in run]
    (folder / f"rows-{rank}.json").write_text(json.dumps(rows))
    torch.save(lora_state(unet), folder / f"lora-{rank}.pt")
