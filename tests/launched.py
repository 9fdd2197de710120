"""Starts a module of the tests, or of the project, as several processes by `accelerate launch`, as people do."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def launch_two(module: str, *arguments: str, **environment: str) -> str:
    """Both processes' standard output when they have ended well; an AssertionError with their complaints otherwise.

    Lines of Gloo, which older torch writes there, from both at once and so into each other, are left out.
    """
    # `accelerate launch --cpu` starts one process, whatever is asked for; --multi_gpu starts several without GPUs too.
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    command += ["--main_process_port", "0", "-m", module, *arguments]
    surroundings = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    done = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return "".join(line for line in done.stdout.splitlines(keepends=True) if "peer ranks" not in line)
