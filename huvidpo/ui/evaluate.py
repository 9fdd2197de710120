"""What each control of the tab Evaluate does. Knows nothing of how figures are found, nor of the layout."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from huvidpo.adapters import list_adapters
from huvidpo.backbones import LoadedBackbone
from huvidpo.categories import find_category
from huvidpo.evaluation.board import entries, find_evaluations, read_evaluations
from huvidpo.evaluation.results import ClipResult, Results, clip_name, read_results
from huvidpo.evaluation.study import answers_of, list_studies
from huvidpo.evaluation.study_report import study_report, to_csv
from huvidpo.home import home
from huvidpo.preferences.store import RatingStore
from huvidpo.ui import evaluate_tables as tables
from huvidpo.ui.evaluate_layout import EvaluateLayout
from huvidpo.ui.events import QUIET, SPOKEN, Changes
from huvidpo.ui.owner import is_owner
from huvidpo.ui.pair_player import Stage, player_value
from huvidpo.ui.toasts import toasts
from huvidpo.video import read_frames

HOW = "On the command line: huvidpo evaluate --category {}"
DOWNLOAD = "(name, text) => downloadText(text, 'text/csv', `${name}.csv`)"  # see page.js


class EvaluateTab:
    """The tab, working. Every handler returns the components that it changes."""

    def __init__(self, backbone: LoadedBackbone, store: RatingStore):
        self.backbone, self.store = backbone.preset.name, store
        self.ui = ui = EvaluateLayout()
        pair = [ui.left, ui.right, ui.prompt]
        shown = [ui.evaluation, ui.problems, ui.leaderboard, ui.versions, ui.history, ui.scope, ui.systems]
        shown += [ui.clips, *pair, ui.player]
        asked, latest = [ui.category, ui.evaluation, ui.scope], {**SPOKEN, "trigger_mode": "always_last"}
        told = [ui.study_note, ui.marks, ui.rates, ui.csv]
        ui.tab.select(self.on_open, [*asked, ui.study], [*shown, ui.studies, ui.study, *told], **SPOKEN)
        ui.category.input(self.on_choice, asked, shown, **latest)
        ui.evaluation.input(self.on_evaluation, asked, shown, **latest)
        ui.scope.input(self.on_scope, asked, ui.systems, **latest)
        named = [ui.evaluation, *pair]
        gr.on([control.input for control in pair], self.on_pair, named, ui.player, **latest)
        ui.study.input(self.on_study, ui.study, told, **latest)
        made = ui.csv.click(self.on_csv, ui.study, ui.answers, **SPOKEN)
        made.success(None, [ui.study, ui.answers], js=DOWNLOAD, **QUIET)

    def on_open(
        self,
        category: str,
        evaluation: str,
        scope: str,
        study: str | None,
        request: gr.Request,
        profile: gr.OAuthProfile | None,
    ) -> Changes:
        """Everything anew: people may have voted, and answered, since the tab was last looked at."""
        changes = self.on_choice(category, evaluation, scope)
        if not is_owner(request, profile):
            return changes
        studies = list_studies(home())
        chosen = study if study in studies else next(iter(studies), None)
        choice = {self.ui.study: gr.Dropdown(studies, value=chosen)}
        shown = {self.ui.studies: gr.Column(visible=bool(studies))}
        return changes | choice | shown | self.on_study(chosen, request, profile)

    def on_choice(self, category: str, evaluation: str, scope: str) -> Changes:
        """Everything that depends on the action; of another evaluation, where this one has no clips of it."""
        with toasts():
            found, problems = read_evaluations(home())
            fits = evaluation in found and category in found[evaluation].categories()
            chosen = evaluation if fits else first_with(found, self.backbone, category)
            return self.shown(category, found, chosen, scope) | {self.ui.problems: " ".join(problems)}

    def on_evaluation(self, category: str, evaluation: str, scope: str) -> Changes:
        """The same of the evaluation that was asked for, also where it has no clips of the action."""
        with toasts():
            found, problems = read_evaluations(home())
            return self.shown(category, found, evaluation, scope) | {self.ui.problems: " ".join(problems)}

    def shown(self, category: str, found: dict[str, Results], name: str | None, scope: str) -> Changes:
        """An action in one of the evaluations there are; ValueError where there is no such action."""
        ui, results = self.ui, found.get(name)
        adapters = list_adapters(self.backbone, find_category(category).name)
        on_board = entries(category, adapters, self.store.blind_answers(category), results)
        choices = [(f"{one} ({result.backbone}, {result.created_at[:10]})", one) for one, result in found.items()]
        return {
            ui.evaluation: gr.Dropdown(choices=choices, value=name, visible=len(found) > 1),
            ui.leaderboard: tables.leaderboard(on_board),
            ui.versions: gr.Column(visible=len(on_board) > 1),
            ui.history: tables.history(on_board),
            ui.scope: gr.Radio(visible=results is not None and results.categories() != [category]),
            ui.systems: self.systems(results, category, scope),
            **self.pair_choices(name, results, category),
        }

    def on_scope(self, category: str, evaluation: str, scope: str) -> Changes:
        with toasts():
            find_category(category)
            found, _ = read_evaluations(home())
            return {self.ui.systems: self.systems(found.get(evaluation), category, scope)}

    def systems(self, results: Results | None, category: str, scope: str) -> dict[str, Any]:
        """The table of all systems of an evaluation, or what to do when there is none."""
        return tables.systems(results, category if scope == "this" else None, HOW.format(category))

    # Side by side

    def pair_choices(self, evaluation: str | None, results: Results | None, category: str) -> Changes:
        """The systems and prompts that have clips in this category, and the first two of them on the player."""
        ui, folder = self.ui, find_evaluations(home()).get(evaluation or "")
        # The shipped evaluation has all of its figures and a few of its clips.
        clips = [clip for clip in results.clips if clip.category == category] if results and folder else []
        clips = [clip for clip in clips if (folder / clip.file).is_file()]
        if not clips:
            return {ui.clips: gr.Column(visible=False)}
        titles = {system.name: system.title for system in results.systems}
        systems = [(titles[name], name) for name in dict.fromkeys(clip.system for clip in clips)]
        prompts = [(f"{clip.prompt} (seed {clip.seed})", clip_name(clip.prompt_id, clip.seed)) for clip in clips]
        prompts = list(dict.fromkeys(prompts))
        (_, left), (_, right) = (systems * 2)[:2]
        prompt = prompts[0][1]
        return {
            ui.clips: gr.Column(visible=True),
            ui.left: gr.Dropdown(choices=systems, value=left),
            ui.right: gr.Dropdown(choices=systems, value=right),
            ui.prompt: gr.Dropdown(choices=prompts, value=prompt),
            **self.on_pair(evaluation, left, right, prompt),
        }

    def on_pair(self, evaluation: str, left: str, right: str, prompt: str) -> Changes:
        if not (evaluation and left and right and prompt):
            return {self.ui.player: gr.skip()}
        try:
            folder = find_evaluations(home()).get(evaluation)
            if folder is None:
                raise ValueError("This evaluation is no longer here; reload the page.")
            results = read_results(folder)
            clips = [clip for clip in results.clips if clip_name(clip.prompt_id, clip.seed) == prompt]
            sides = [next((clip for clip in clips if clip.system == name), None) for name in (left, right)]
            titles = {system.name: system.title for system in results.systems}
            value = side_by_side(folder, sides, titles)
        except ValueError as error:
            value = player_value(None, note=str(error), turn=secrets.token_hex(4))
        return {self.ui.player: value}

    # Studies

    def on_study(self, name: str | None, request: gr.Request, profile: gr.OAuthProfile | None) -> Changes:
        ui = self.ui
        with toasts():
            owner_only(request, profile)
            if not name:
                return {ui.study_note: ""}
            report = study_report(*answers_of(home(), name))
            note = f"Share this page's address with /?study={name} at its end. {tables.study_words(report)}"
            return {
                ui.study_note: note,
                ui.marks: tables.marks(report),
                ui.rates: tables.rates(report),
                ui.csv: gr.Button(visible=True),
            }

    def on_csv(self, name: str, request: gr.Request, profile: gr.OAuthProfile | None) -> Changes:
        """The answers of this moment; the browser makes a file of them."""
        with toasts():
            owner_only(request, profile)
            return {self.ui.answers: to_csv(*answers_of(home(), name))}


def first_with(found: dict[str, Results], backbone: str, category: str) -> str | None:
    """The first evaluation of this backbone with clips of the category; else one of another; else the first."""
    fitting = [name for name, results in found.items() if category in results.categories()]
    own = [name for name in fitting if found[name].backbone == backbone]
    return next(iter([*own, *fitting, *found]), None)


def side_by_side(folder: Path, sides: Sequence[ClipResult | None], titles: dict[str, str]) -> dict[str, Any]:
    """What the player shows of two clips. ValueError with the reason when one of them cannot be shown."""
    if None in sides:
        raise ValueError("One of the two systems has no clip of this prompt.")
    files = [folder / clip.file for clip in sides]
    if not all(file.is_file() and file.resolve().is_relative_to(folder.resolve()) for file in files):
        raise ValueError("This clip of the evaluation is not here.")
    (first, fps), (second, _) = map(read_frames, files)
    frames, (height, width) = min(len(first), len(second)), first.shape[1:3]
    stage = Stage(secrets.token_hex(8), sides[0].prompt, *files, frames, fps, width, height, "")
    names = {side: titles[clip.system] for side, clip in zip(("left", "right"), sides, strict=True)}
    return player_value(stage, turn=stage.id) | {"names": names}


def owner_only(request: gr.Request, profile: gr.OAuthProfile | None) -> None:
    """ValueError unless the page's owner asks."""
    if not is_owner(request, profile):
        raise ValueError("Only the owner of this page can see a study's results.")
