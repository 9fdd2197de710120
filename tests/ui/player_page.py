"""The pair player alone on a page of its own: its real template, scripts and styles, and no server but for files."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from huvidpo.ui.pair_player import PARTS, TEMPLATE
from huvidpo.ui.theme import CSS

# What Gradio's `HTML` component gives to a script, in the same words.
PAGE = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<style>:root {{ --primary-600: #c53f17; --primary-400: #ff7e55; --primary-950: #371009; --neutral-400: #a39b97;
--input-background-fill: white; --border-color-primary: #e7e1d7; font-family: sans-serif; }}
body {{ margin: 12px; }} {css}</style>
<main class="gradio-container"><input id="elsewhere"><div id="player">{template}</div></main>
<script>{page}</script>
<script>
window.sent = [];
const watchers = [];
const props = {{ value: {value} }};
window.tell = (value) => {{ props.value = value; watchers.forEach((callback) => callback()); }};
const element = document.querySelector('#player');
Function('element', 'trigger', 'props', 'watch', {script})(
  element, (name, data) => window.sent.push([name, data]), props, (name, callback) => watchers.push(callback));
</script>"""


def write_page(folder: Path, value: dict[str, Any]) -> None:
    """index.html in a folder that also holds the clips which `value` names."""
    script = "\n".join(part.read_text(encoding="utf-8") for part in PARTS)
    css = "\n".join(file.read_text(encoding="utf-8") for file in CSS)
    template = TEMPLATE.read_text(encoding="utf-8")
    scripts = {"page": (CSS[0].with_name("page.js")).read_text(encoding="utf-8"), "script": json.dumps(script)}
    page = PAGE.format(css=css, template=template, value=json.dumps(value), **scripts)
    (folder / "index.html").write_text(page, encoding="utf-8")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served_folder(folder: Path) -> Iterator[str]:
    """The folder at an address of this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
