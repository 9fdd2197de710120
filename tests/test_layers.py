"""The architecture is a test: who may import whom, inside the package and outside of it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES = 300
LONG_FILES: dict[str, str] = {}  # module -> why it may be longer; empty so far

# The longest prefix of a module's name decides. Imports go down only: to a smaller number, or to the same layer.
LAYERS = {
    "ui": 4,
    "cli": 4,
    "commands": 4,
    "__main__": 4,
    "deploy": 4,
    "takes": 3,
    "requests": 3,
    "words": 3,
    "evaluation": 3,
    "training": 3,
    "preferences": 3,
    "adapters": 3,
    "adapter_weights": 3,
    "candidates": 3,
    "published_checkpoints": 3,
    "backbones": 3,
    "pocket": 3,
    "full_size": 2,
    "presets": 2,
    "machine": 2,
    "pipelines": 2,
    "models": 1,
    "hub_models": 1,
    "hub_errors": 1,
    "shared_adapters": 1,
    "images": 1,
    "memory": 1,
    "quiet": 1,
}
# These import nothing of the project but each other: to be read, tested and trusted on their own; all may import them.
LEAVES = {
    "atomic",
    "checks",
    "video",
    "categories",
    "home",
    "recipes",
    "interrupts",
    "models.attention",
    "training.losses",
    "preferences.fields",
    "preferences.records",
    "preferences.statistics",
    "evaluation.metrics",
}
# Third-party packages with a fence around them: who may import them.
FENCES = {
    "gradio": {"app", "ui"},
    "spaces": {"app", "ui"},
    "huggingface_hub": {"hub_errors", "hub_models", "shared_adapters", "preferences.hub", "deploy"},
}


def project_sources() -> dict[str, str]:
    """Module name below `huvidpo` (the package itself is "") -> source; and `app`."""
    sources = {"app": (ROOT / "app.py").read_text()}
    for file in sorted((ROOT / "huvidpo").rglob("*.py")):
        parts = file.relative_to(ROOT / "huvidpo").with_suffix("").parts
        sources[".".join(part for part in parts if part != "__init__")] = file.read_text()
    return sources


def imports(module: str, source: str, is_package: bool) -> set[str]:
    """Absolute dotted names that a module imports anywhere in it, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = ["huvidpo", *filter(None, module.split("."))]
                above = here[: len(here) - node.level + is_package]
                base = ".".join([*above, *filter(None, [base])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def under(module: str, prefixes) -> str | None:
    """The longest of `prefixes` that `module` is or lies below."""
    fitting = [prefix for prefix in prefixes if f"{module}.".startswith(f"{prefix}.")]
    return max(fitting, key=len, default=None)


def project_edges(sources: dict[str, str]) -> dict[str, set[str]]:
    """Module -> modules of the project it imports."""
    edges = {}
    for module, source in sources.items():
        is_package = any(other.startswith(f"{module}.") for other in sources) or module == ""
        wanted = imports(module, source, is_package)
        inside = {name.removeprefix("huvidpo.") for name in wanted if name.startswith("huvidpo.")}
        edges[module] = {under(name, sources) for name in inside} - {None, module}
    return edges


def violations(sources: dict[str, str]) -> list[str]:
    """One sentence per import that the tables above do not allow."""
    found = []
    for module, targets in project_edges(sources).items():
        layer = LAYERS.get(under(module, LAYERS), 0) if module != "app" else 5
        for target in sorted(targets - LEAVES):
            if module in LEAVES or layer < LAYERS.get(under(target, LAYERS), 9):
                found.append(f"{module or 'huvidpo'} imports {target}")
    for module, source in sources.items():
        outside = {name.split(".")[0] for name in imports(module, source, False)}
        found += [
            f"{module or 'huvidpo'} imports {package}"
            for package, allowed in FENCES.items()
            if package in outside and not under(module, allowed)
        ]
    return found


def cycles(edges: dict[str, set[str]]) -> set[str]:
    """Modules that can reach themselves; what is left when modules without open imports are taken away in turn."""
    left = dict(edges)
    while free := [module for module, targets in left.items() if not targets & left.keys()]:
        for module in free:
            del left[module]
    return set(left)


def test_imports_run_one_way():
    assert violations(project_sources()) == []


def test_no_two_modules_need_each_other():
    assert cycles(project_edges(project_sources())) == set()


def test_every_module_has_its_place_in_the_table():
    unknown = {module for module in project_sources() if not under(module, [*LAYERS, *LEAVES, "app"])}
    assert unknown == {""}, "a new top-level module needs a layer"


@pytest.mark.parametrize(
    "module, line, expected",
    [
        ("models.video_unet", "from huvidpo.pipelines import sampler", "models.video_unet imports pipelines.sampler"),
        ("models.video_unet", "def f():\n    from ..pipelines.sampler import x", "imports pipelines.sampler"),
        ("models.attention", "from .video_unet import VideoUNet", "models.attention imports models.video_unet"),
        ("models", "from ..pipelines import sampler", "models imports pipelines.sampler"),
        ("video", "import huvidpo.categories as c\nimport huvidpo.backbones", "video imports backbones"),
        ("pipelines.sampler", "import huvidpo.ui.create", "pipelines.sampler imports ui.create"),
        ("training.losses", "from huvidpo.models import video_unet", "training.losses imports models.video_unet"),
        ("", "from huvidpo import cli", "huvidpo imports cli"),
        ("training.motion", "import gradio as gr", "training.motion imports gradio"),
        ("cli", "from gradio.themes import Soft", "cli imports gradio"),
        ("backbones", "import spaces", "backbones imports spaces"),
        ("ui.create", "from huggingface_hub import HfApi", "ui.create imports huggingface_hub"),
    ],
)
def test_a_planted_violation_is_caught(module, line, expected):
    names = ["", "app", "ui", "ui.create", "cli", "backbones", "video", "categories", "pipelines", "pipelines.sampler"]
    names += ["training", "training.losses", "training.motion", "models", "models.attention", "models.video_unet"]
    clean = dict.fromkeys(names, "import torch\n")
    assert violations(clean) == []
    (found,) = violations({**clean, module: line})
    assert found.endswith(expected)


def test_what_the_table_allows_is_not_reported():
    sources = {
        "app": "import spaces\nimport gradio\nfrom huvidpo.ui.create import tab",
        "ui.create": "import gradio\nfrom huvidpo import cli, takes, video\nfrom .theme import THEME",
        "ui.theme": "",
        "cli": "from huvidpo.backbones import load_backbone",
        "takes": "from huvidpo.backbones import x\nfrom huvidpo import categories",
        "hub_models": "import huggingface_hub",
        "backbones": "from huvidpo import hub_models\nfrom huvidpo.models.video_unet import VideoUNet",
        "models.video_unet": "from huvidpo.models.attention import x\nimport gradient",
        "models.attention": "",
        "video": "",
        "categories": "",
    }
    assert violations(sources) == [] and cycles(project_edges(sources)) == set()


def test_a_planted_cycle_is_caught():
    circle = {"takes": "from huvidpo import adapters", "adapters": "import huvidpo.takes"}
    assert cycles(project_edges({**circle, "video": "import numpy"})) == {"takes", "adapters"}


def test_files_are_short_enough_to_read():
    lengths = {module: source.count("\n") for module, source in project_sources().items()}
    assert {module for module, lines in lengths.items() if lines > MAX_LINES} == set(LONG_FILES)
