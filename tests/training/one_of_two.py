"""One of the processes of test_processes.py: writes down which items are its own, and what it has of the other's."""

import json
import sys
import time
from pathlib import Path

import torch

from huvidpo.training.processes import (
    copied_from_first,
    copy_from_first,
    join_processes,
    own_share,
    process_number,
    wait_for_all,
)

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    join_processes()
    rank, count = process_number()
    if rank == 1:
        time.sleep(1)  # so that the other one really has to wait
    (folder / f"share-{rank}.json").write_text(json.dumps(own_share("abcde")))
    wait_for_all()
    seen = sorted(file.name for file in folder.glob("share-*.json"))
    drawn = torch.full((2,), float(rank + 5))
    copy_from_first([drawn])
    (folder / f"seen-{rank}.json").write_text(
        json.dumps([count, seen, drawn.tolist(), copied_from_first(f"dpo-{rank}")])
    )
