"""The commands with their options and help, but those that train. What they do is in the other modules."""

import argparse
from collections.abc import Callable
from pathlib import Path

from huvidpo.categories import CATEGORIES, STYLES, known_categories
from huvidpo.commands import adapters, categories, evaluation, page, ratings, studies, takes
from huvidpo.evaluation.contestants import KNOWN, USUAL
from huvidpo.preferences.export import LAYOUTS
from huvidpo.preferences.records import PAIRINGS, PREFERENCES
from huvidpo.presets import FIRST_FRAME_MODELS
from huvidpo.recipes import ATTENTION_VARIANTS, RECIPES

Command = Callable[..., argparse.ArgumentParser]  # name, function, summary -> the command's parser

THE_ACTION = f"the action, one of: {', '.join(CATEGORIES)}; or your own (see add-category)"
WHICH_MODEL = "which model draws the first frame; dpo-small, of sd14 only, is 3.5 GB instead of 12.4 (default: dpo)"
ALL_PAIRS = "pair scored clips all with all, not each once"


def add_take_commands(command: Command) -> None:
    command("backbones", takes.backbones, "List the backbones.")
    frame = command("first-frame", takes.first_frame, "Draw a first frame from a prompt.")
    add_prompt_options(frame)
    add_category(frame, "noted in the settings of the picture")
    frame.add_argument("--out", type=Path, required=True, metavar="X.png", help="the picture, its settings inside")
    video = command("video", takes.video, "Make a clip from a prompt and a first frame.")
    add_clip_options(video)
    video.add_argument("--out", type=Path, required=True, metavar="X.mp4|X.gif", help="the clip, its settings inside")


def add_category_commands(command: Command) -> None:
    command("categories", categories.categories, "List the actions: the eight, then your own.")
    added = command("add-category", categories.add, "Add an action of your own, to be taught from clips.")
    added.add_argument("name", metavar="NAME", help="small letters, digits and hyphens, such as dog-jump")
    added.add_argument("--prompts", nargs="+", required=True, help="2 to 20 examples; the page offers four")
    added.add_argument("--title", default="", help="what the page calls it (default: made of the name)")
    added.add_argument("--motion-prompt", default="", help="its name in training (default: the title)")
    added.add_argument("--emoji", default="🎬", help="its sign on the page (default: 🎬)")
    removed = command("remove-category", categories.remove, "Forget an action that you added.")
    removed.add_argument("name", metavar="NAME", help="as `categories` lists it")


def add_adapter_commands(command: Command) -> None:
    listed = command("adapters", adapters.adapters, "List the adapters of a backbone.")
    add_category(listed, "list only those of this category")
    taken = command("import-checkpoint", adapters.import_checkpoint, "Make an adapter of LAMP's or HuViDPO's weights.")
    taken.add_argument("file", type=Path, metavar="FILE", help=".bin, .pth or .safetensors, or the folder with unet/")
    add_category(taken)
    taken.add_argument("--name", default="imported", help="what the new adapter is called (default: imported)")
    taken.add_argument("--source", default="", metavar="ADDRESS", help="where the file comes from, for the card")
    taken.add_argument("--lora-alpha", type=float, help="how strong its LoRA is (default: twice the rank)")
    wanted = "what frames look at: LAMP's weights want first, HuViDPO's first-previous (default)"
    taken.add_argument("--attention", choices=ATTENTION_VARIANTS, default=ATTENTION_VARIANTS[0], help=wanted)
    pushed = command("push-adapter", adapters.push_adapter, "Share an adapter in a model repository of the Hub.")
    pushed.add_argument("name", help="the adapter, as `adapters` lists it")
    add_category(pushed)
    pushed.add_argument(
        "--repo", default="", metavar="OWNER/NAME", help="the model repository (default: HUVIDPO_ADAPTERS)"
    )
    promote = command("promote", adapters.promote, "Make an adapter its category's default.")
    promote.add_argument("name", help="the adapter, as `adapters` lists it")
    add_category(promote, "needed where two categories have an adapter of that name")
    promote.add_argument("--force", action="store_true", help="whatever the votes say")
    rollback = command("rollback", adapters.rollback, "Bring back a category's default before this one.")
    add_category(rollback)


def add_category(parser: argparse.ArgumentParser, says: str = "") -> None:
    """`--category`; needed, unless `says` tells what it does where it is given."""
    names, needed = list(known_categories()), not says
    parser.add_argument("--category", choices=names, metavar="CATEGORY", required=needed, help=says or THE_ACTION)


def add_prompt_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prompt", required=True, help="what the picture shows, in English words")
    parser.add_argument("--style", choices=list(STYLES), default="any", help="how it is drawn (default: any)")
    parser.add_argument(
        "--negative-prompt", default="", help="what should not be in the picture; heeded where the guidance is above 1"
    )
    parser.add_argument("--seed", type=int, help="the same seed makes the same result (default: a random one)")
    parser.add_argument("--model", choices=FIRST_FRAME_MODELS, default="", help=WHICH_MODEL)
    parser.add_argument("--steps", type=int, help="denoising steps (default: the backbone's)")
    parser.add_argument("--guidance", type=float, help="how closely to follow the prompt (default: the backbone's)")


def add_clip_options(parser: argparse.ArgumentParser) -> None:
    add_prompt_options(parser)
    add_category(parser)
    parser.add_argument(
        "--first-frame", type=Path, metavar="IMAGE", help="a picture to begin with (default: made from the prompt)"
    )
    parser.add_argument("--fit", choices=["crop", "pad"], default="crop", help="how an image of another shape fits")
    parser.add_argument("--first-frame-seed", type=int, help="of the first frame alone (default: the clip's seed)")
    moves = "which adapter moves it (default: the category's own)"
    parser.add_argument("--adapter", default="", metavar="NAME|FOLDER|none", help=moves)
    looks = "what frames look at; first is LAMP's (default: as the adapter was trained)"
    parser.add_argument("--attention", choices=ATTENTION_VARIANTS, default="", help=looks)
    sampler = "how it is sampled; huvidpo is the published sampler (default: default)"
    parser.add_argument("--recipe", choices=list(RECIPES), default="default", help=sampler)


def add_rating_commands(command: Command) -> None:
    pair = command("pair", ratings.pair, "Make two takes to choose between.")
    add_clip_options(pair)
    pair.add_argument("--against", metavar="NAME|FOLDER|none", help="adapter of take b (default: the same)")
    pair.add_argument(
        "--pairing",
        choices=PAIRINGS,
        help="what tells the takes apart (default: varied, noise and guidance; with --against the adapter alone)",
    )
    pair.add_argument(
        "--count", type=int, metavar="N", help="that many pairs, of the seeds from --seed (default 0) on"
    )
    pair.add_argument("--source", type=Path, metavar="CLIP", help="the clip that aligned takes start from")
    rate = command("rate", ratings.rate, "Say which take of a pair is better.")
    rate.add_argument("--pair", required=True, metavar="ID", help="the name that `pair` printed")
    better = "the better take; tie_good where both are good, tie_bad where neither is"
    rate.add_argument("--preference", required=True, choices=PREFERENCES, help=better)
    rate.add_argument("--segments", default="", metavar="a,b,tie,-", help="who is better in each quarter; - is unsaid")
    rate.add_argument(
        "--supersedes",
        default="",
        metavar="ID",
        help="the own rating that this one replaces (default: that on this pair)",
    )
    withdraw = command("withdraw", ratings.withdraw, "Take an own rating back.")
    withdraw.add_argument("--rating", required=True, metavar="ID", help="the name that `rate` printed")
    listed = command("ratings", ratings.ratings, "List the ratings that count, and what they say.")
    add_category(listed, "only those of this category")
    taken = command("import-ratings", ratings.import_ratings, "Take over ratings from files.")
    taken.add_argument("file", type=Path, metavar="FILE.csv|.json|.jsonl|FOLDER", help="the table")
    add_category(taken, "the action, where the file names none")
    taken.add_argument(
        "--prompt", default="", help="the prompt, where the file names none (default: the category's motion prompt)"
    )
    taken.add_argument("--all-pairs", action="store_true", help=ALL_PAIRS)
    export = command("export-ratings", ratings.export_ratings, "Write the ratings as plain files.")
    export.add_argument("out", type=Path, metavar="OUT", help="a new or an empty folder")
    layouts = "flat has a row for each rating (default), chosen-rejected one for each decided pair, for --data too"
    export.add_argument("--layout", choices=LAYOUTS, default="flat", help=layouts)
    add_category(export, "only those of this category")
    for name, run, summary in (
        ("push", ratings.push, "Upload what waits to the dataset on the Hub."),
        ("pull", ratings.pull, "Take over others' ratings from the dataset on the Hub."),
    ):
        where = "the dataset on the Hub (default: HUVIDPO_DATASET)"
        command(name, run, summary).add_argument("--dataset", default="", metavar="OWNER/NAME", help=where)


def add_evaluation_commands(command: Command) -> None:
    parser = command("evaluate", evaluation.evaluate, "Compare systems on the same prompts.")
    every, which = [*known_categories(), "all"], "an action, or all for the eight"
    parser.add_argument("--category", choices=every, metavar="CATEGORY", required=True, help=which)
    compared = f"what is compared: {', '.join(KNOWN)} (default: {','.join(USUAL)})"
    parser.add_argument("--systems", default="", metavar="A,B", help=compared)
    named = "adapters to compare, by name or folder"
    parser.add_argument("--adapters", default="", metavar="A,B", help=named)
    parser.add_argument(
        "--clips",
        action="append",
        metavar="NAME=DIR",
        help="finished clips as a system, horse-01-0.mp4; measure real footage with --judge hub",
    )
    parser.add_argument(
        "--prompts", type=Path, metavar="FILE|DIR", help="one prompt a line (default: examples/prompts)"
    )
    parser.add_argument("--seeds", type=int, default=1, help="clips of each prompt (default: 1)")
    parser.add_argument(
        "--judge",
        choices=["pocket", "hub"],
        help="whose models look: pocket's know drawn clips only (default: pocket's for pocket, else the Hub's)",
    )
    shown = (
        "where it is written, and goes on where it stopped (default: evaluations/CATEGORY in HUVIDPO_HOME, which the "
        "tab Evaluate shows)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help=shown)
    winrate = command("winrate", evaluation.winrate, "What blind votes say of an adapter against another.")
    add_category(winrate)
    winrate.add_argument("--adapter", default="", metavar="A", help="whose rate (default: the newest candidate's)")
    against = "what it is held against (default: what it was trained from)"
    winrate.add_argument("--against", default="", metavar="B", help=against)


def add_study_commands(command: Command) -> None:
    study = command("study", studies.listed, "Let invited people mark the clips of systems, blind.")
    does = study.add_subparsers(metavar="create|list|results|export", required=True)

    def part(name: str, run: Callable[[argparse.Namespace], None], summary: str) -> argparse.ArgumentParser:
        added = does.add_parser(name, help=summary, description=summary)
        added.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object")
        added.set_defaults(run=run)
        return added

    create = part("create", studies.create, "Make a study from an evaluation folder.")
    create.add_argument("name", help="small letters, digits and -; the link is /?study=NAME")
    create.add_argument("--evaluation", type=Path, required=True, metavar="DIR", help="what `evaluate` wrote")
    create.add_argument(
        "--systems", default="", metavar="A,B", help="what is shown (default: all that were evaluated)"
    )
    create.add_argument("--prompts", type=int, default=14, help="how many prompts (default: 14, as in the paper)")
    part("list", studies.listed, "List the studies.")
    which = "the study, as `study list` has it"
    part("results", studies.results, "What people said, with intervals.").add_argument("name", help=which)
    export = part("export", studies.export, "Write the answers that count as a CSV file.")
    export.add_argument("name", help=which)
    export.add_argument("--out", type=Path, required=True, metavar="X.csv", help="the file to write")


def add_page_command(command: Command) -> None:
    serve = command("serve", page.serve, "Start the page.")
    serve.add_argument(
        "--host",
        help="address to listen on; 0.0.0.0 for the whole network, where everybody may use the page and rate, and "
        "nobody but you at this machine delete or push (default: this machine only)",
    )
    serve.add_argument("--port", type=int, help="port to listen on (default: the first free one from 7860)")
