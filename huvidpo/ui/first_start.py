"""The page that stands in while a backbone's weights are not here yet. Knows downloads, nothing of networks.

It says what is downloaded and under which licence, and how far that is; where nobody has chosen a backbone it asks
first, and offers the embedded one instead. Then it closes and the real page opens at the same address, as
first_start.js notices.
"""

import html
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue

import gradio as gr

from huvidpo.backbones import missing_weights
from huvidpo.hub_models import Downloaded, HubFiles, fetch_all
from huvidpo.presets import Backbone, find_backbone
from huvidpo.ui.theme import CSS, HERO, TITLE, theme

EMBEDDED = "pocket"


def choose_backbone(name: str, host: str | None, port: int | None) -> tuple[str, int | None]:
    """The backbone to load and the port for its page: those given, unless the weights of `name` are not here.

    Then a page stands in until they are, or until somebody takes the embedded model. It downloads without asking where
    the owner has chosen: by HUVIDPO_BACKBONE, or by giving a Space a GPU, where no stranger should decide. Raises
    OSError when the port cannot be had.
    """
    missing = missing_weights(name)
    if not missing:
        return name, port
    chosen = bool(os.environ.get("HUVIDPO_BACKBONE") or os.environ.get("SPACE_ID"))
    stand_in = StandIn(find_backbone(name), missing, asks=not chosen)
    if chosen:
        stand_in.choices.put(name)
    page = stand_in.page()
    page.launch(
        server_name=host,
        server_port=port,
        theme=theme(),
        css_paths=CSS,
        head=f"<script>{Path(__file__).with_name('first_start.js').read_text(encoding='utf-8')}</script>",
        ssr_mode=False,
        footer_links=[],
        prevent_thread_lock=True,
        _frontend=False,
    )
    try:
        return stand_in.wait(), page.server_port
    finally:
        page.close(verbose=False)


class StandIn:
    """What visitors choose, and how far the download is."""

    def __init__(self, preset: Backbone, missing: Sequence[HubFiles], asks: bool):
        self.preset, self.missing, self.asks = preset, missing, asks
        self.choices: SimpleQueue[str] = SimpleQueue()  # names of backbones
        self.progress: Downloaded | None = None  # None while nobody has chosen
        self.problem = ""

    def wait(self) -> str:
        """The backbone that can be loaded, once one can; a download that fails can be tried again."""
        while (name := self.choices.get()) == self.preset.name:
            self.problem, self.progress = "", Downloaded(self.missing[0], 0, 0)
            try:
                if self.downloaded():
                    return name
            except ValueError as error:
                self.problem, self.progress = str(error), None
        return name

    def downloaded(self) -> bool:
        """Downloads what is missing; False when somebody chose anew meanwhile. ValueError as `fetch`."""
        with closing(fetch_all(*self.missing)) as events:
            for self.progress in events:
                if not self.choices.empty():
                    return False
        return True

    def page(self) -> gr.Blocks:
        """The page; every second it asks how things stand."""
        with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
            gr.HTML(HERO)
            instead = f"Start with {find_backbone(EMBEDDED).title}"
            with gr.Column(elem_id="first-start"):
                gr.Markdown(self.offer())
                standing = gr.HTML(self.standing(), elem_id="standing")
                with gr.Row():
                    download = gr.Button(variant="primary", elem_id="download", visible=False)
                    embedded = gr.Button(instead, elem_id="embedded", visible=self.asks)
            download.click(lambda: self.choices.put(self.preset.name), queue=False, api_visibility="private")
            if self.asks:
                embedded.click(lambda: self.choices.put(EMBEDDED), queue=False, api_visibility="private")
            now = {"fn": self.now, "outputs": [standing, download], "queue": False, "show_progress": "hidden"}
            page.load(**now, api_visibility="private")
            gr.Timer(1).tick(**now, api_visibility="private")
        return page

    def now(self) -> tuple[str, dict]:
        """How things stand, and the button that begins or begins again."""
        words = "Try again" if self.problem else f"Download {self.gigabytes():.1f} GB and start"
        return self.standing(), gr.update(value=words, visible=self.progress is None)

    def standing(self) -> str:
        """HTML of the download's progress or its problem; empty while nobody has chosen."""
        if self.progress is None:
            return f'<p class="problem" role="alert">{html.escape(self.problem)}</p>' if self.problem else ""
        done, total = self.progress.done / 1e9, self.gigabytes()
        share = min(done / total, 1.0) if total else 0.0
        words = f"{html.escape(self.progress.wanted.repo)}: {done:.1f} of {total:.1f} GB"
        return f'<progress value="{share:.3f}" aria-label="Download"></progress><p>{words}</p>'

    def gigabytes(self) -> float:
        """What is to be downloaded, roughly."""
        return sum(wanted.gigabytes for wanted in self.missing)

    def offer(self) -> str:
        """Markdown of what is downloaded, and where that is asked, of what there is instead."""
        preset, embedded = self.preset, find_backbone(EMBEDDED)
        lines = [
            f"## {preset.title} {'fits this machine, but is not here yet' if self.asks else 'is on its way'}",
            f"{preset.summary} {preset.width} × {preset.height} pixels.",
            "Downloaded once, from the Hugging Face Hub:",
            "\n".join(f"- {wanted.notice()}" for wanted in self.missing),
            "The models of first frames are asked for at the first one, with their sizes and licences.",
        ]
        if self.asks:
            lines.append(
                f"**{embedded.title}** needs no download: {embedded.width} × {embedded.height} pixels. "
                f"{embedded.summary} `HUVIDPO_BACKBONE={preset.name}` or `={EMBEDDED}` chooses for good."
            )
        return "\n\n".join(lines)
