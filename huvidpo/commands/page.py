"""The command `serve`: the page, in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

APP = Path(__file__).parents[2] / "app.py"
ADDRESS = re.compile(r"Running on .*?(https?://[^\s,]+)")  # Gradio's line once the page is up


def serve(arguments: Namespace) -> int:
    """`serve`: its exit code is the page's."""
    if not APP.is_file():
        raise ValueError(f"There is no page at {APP}: start it from a clone of the repository.")
    options = ["--host", arguments.host] if arguments.host else []
    options += ["--port", str(arguments.port)] if arguments.port is not None else []
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    if arguments.backbone:
        environment["HUVIDPO_BACKBONE"] = arguments.backbone
    if arguments.memory:
        environment["HUVIDPO_MEMORY"] = arguments.memory
    output = subprocess.PIPE if arguments.json else None
    page = subprocess.Popen([sys.executable, APP, *options], env=environment, stdout=output, text=True)
    signal.signal(signal.SIGTERM, lambda *_: page.terminate())  # else it would live on alone
    said = False
    try:
        for line in page.stdout or ():
            print(line, end="", file=sys.stderr)
            if not said and (address := ADDRESS.search(line)):
                print(json.dumps({"url": address[1]}), flush=True)
                said = True
        code = page.wait()
    finally:
        page.terminate()
        page.wait()
    return code if code >= 0 else 128 - code
