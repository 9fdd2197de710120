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
    # The example for two GPUs: without any, its processes compute on the CPU.
    config = ROOT / "examples" / "accelerate" / "2_gpus.yaml"
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    command += ["--main_process_port", "0", "-m", module, *arguments]
    surroundings = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    done = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return "".join(line for line in done.stdout.splitlines(keepends=True) if "peer ranks" not in line)
