"""What a newcomer meets first: README, versions, licence; and what must never be in the repository."""

import re
import runpy
import subprocess
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from huvidpo.video import read_metadata

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
_, FRONT_MATTER, BODY = README.split("---\n", 2)
FRONT = yaml.safe_load(FRONT_MATTER)
BUILT = re.compile(r"^(\.git|\.venv|\.huvidpo|\.gradio|.*_cache|__pycache__|.*\.egg-info|build|dist|shared)$")


def requirements(file: str) -> list[Requirement]:
    lines = (line.split("#")[0].strip() for line in (ROOT / file).read_text().splitlines())
    return [Requirement(line) for line in lines if line]


PINS = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in requirements("constraints.txt")}


def repository_files() -> list[Path]:
    """Every file of the checkout that git does not ignore; in an unpacked archive, every file that was not built."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0:
        names = listed.stdout.decode().split("\0")
        return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    files = (file for file in ROOT.rglob("*") if file.is_file())
    return [file for file in files if not any(BUILT.match(part) for part in file.relative_to(ROOT).parts)]


def test_the_space_runs_on_the_tested_versions():
    assert FRONT["sdk"] == "gradio" and str(FRONT["sdk_version"]) == PINS["gradio"]
    assert FRONT["python_version"] == "3.12" and isinstance(FRONT["python_version"], str)
    assert (ROOT / FRONT["app_file"]).is_file()
    assert FRONT["license"] == "apache-2.0" and "Apache License" in (ROOT / "LICENSE").read_text()
    assert len(FRONT["short_description"]) <= 60, "Spaces cuts it there"


def test_every_direct_and_indirect_requirement_is_pinned():
    """Walks what the installed packages say they need, from our own lists down."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    to_do = [*requirements("requirements.txt"), *map(Requirement, extras["dev"])]
    seen = set()
    while to_do:
        wanted = to_do.pop()
        name = canonicalize_name(wanted.name)
        for extra in ["", *wanted.extras]:
            if (name, extra) not in seen:
                seen.add((name, extra))
                needs = map(Requirement, distribution(name).requires or [])
                to_do += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    needed = {name for name, _ in seen}
    assert {name for name in needed if not platform_only(name)} <= PINS.keys()


def platform_only(name: str) -> bool:
    """What a CUDA build of torch brings, at versions that torch itself pins."""
    return name.startswith(("nvidia-", "cuda-")) or name == "triton"


def test_the_pins_fit_the_requirements():
    for wanted in requirements("requirements.txt"):
        assert wanted.specifier.contains(PINS[canonicalize_name(wanted.name)]), wanted
    for name in ("torch", "spaces", "huggingface_hub"):
        assert all(not wanted.specifier for wanted in requirements("requirements.txt") if wanted.name == name)


@pytest.mark.slow
def test_the_first_code_that_people_run_runs(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's Python, which must be as it stands, and examples/quickstart.py; with small untrained weights."""
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"^```python\n(.*?)^```", BODY, re.DOTALL | re.MULTILINE)
    exec(compile(block, "README.md", "exec"), {})
    assert read_metadata(tmp_path / "horse.mp4")["prompt"] == "a red horse runs on the beach"
    clip = runpy.run_path(str(ROOT / "examples" / "quickstart.py"))["main"](tmp_path, steps=1)
    assert read_metadata(clip)["category"] == "waterfall" and (tmp_path / "quickstart.png").is_file()


def test_the_trees_name_what_is_there_and_nothing_else():
    """The README's shows the top level and the packages, that of docs/design.md every module."""
    present = {file.relative_to(ROOT).parts for file in repository_files()}
    package = [parts for parts in present if parts[0] == "huvidpo"]
    top_level = {parts[0] + "/" * (len(parts) > 1) for parts in present if not parts[0].startswith(".")}
    packages = {parts[1] + "/" for parts in package if len(parts) > 2}
    modules = {parts[-1] for parts in package if parts[-1].endswith(".py")} - {"__init__.py"}
    short = re.search(r"```text\n(app\.py.*?)```", BODY, re.DOTALL)[1]
    whole = re.search(r"```text\n(huvidpo/.*?)```", (ROOT / "docs/design.md").read_text("utf-8"), re.DOTALL)[1]
    shown = {line.split()[0] for line in short.splitlines()}
    assert top_level | packages <= shown, "an entry has no line in the README's tree"
    named = set(re.findall(r"[\w.-]+(?:\.py|/)", whole.replace("/ ", "/\n")))
    assert modules <= named, "a module has no place in the tree of docs/design.md"
    also = shown | set(re.findall(r"[\w.-]+\.py", short + whole))
    there = {parts[-1] for parts in present} | top_level | packages
    assert also <= there, "a tree names a file that is not there"


def test_local_links_and_pictures_of_the_readme_exist():
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", BODY) + re.findall(r'src="(?!https?:)([^"]+)"', BODY)
    assert [target for target in targets if not (ROOT / target).exists()] == []


SECRETS = {
    "a Hugging Face token": re.compile(rb"\bhf_[A-Za-z]{30,}"),
    "a cloud key": re.compile(rb"\bAKIA[0-9A-Z]{16}\b"),
    "a code host's token": re.compile(rb"\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_\w{30,}"),
    "a private key": re.compile(rb"BEGIN [A-Z ]*PRIVATE KEY"),
    "a user's folder": re.compile(rb"/(?:home|Users)/\w+/|/root/"),
    "a package index": re.compile(rb"--(?:extra-)?index-url|--find-links|PIP_(?:EXTRA_)?INDEX_URL"),
    "a private address": re.compile(rb"\b(?:192\.168|172\.(?:1[6-9]|2\d|3[01])|10\.\d{1,3})\.\d{1,3}\.\d{1,3}\b"),
}


def leaks(content: bytes) -> list[str]:
    return [what for what, pattern in SECRETS.items() if pattern.search(content)]


def test_no_secret_and_no_machine_is_named():
    written_by_hand = {"", ".md", ".py", ".toml", ".txt", ".json", ".js", ".css"}
    texts = [file for file in repository_files() if file.suffix in written_by_hand]
    assert len(texts) > 10
    found = {file.name: leaks(file.read_bytes()) for file in texts if file != Path(__file__)}
    assert {name: what for name, what in found.items() if what} == {}


def test_a_planted_secret_is_caught():
    assert leaks(b"token = 'hf_" + b"a" * 34 + b"'") == ["a Hugging Face token"]
    assert leaks(b"-----BEGIN RSA PRIVATE KEY-----") == ["a private key"]
    assert leaks(b"see /home/jane/data") == ["a user's folder"]
    assert leaks(b"http://192.168.0.7:8080") == ["a private address"]


def test_no_file_is_too_large_for_a_plain_clone():
    assert [file.name for file in repository_files() if file.stat().st_size > 10 * 2**20] == []
