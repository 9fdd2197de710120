"""What benchmarks count and print; none of them is timed here."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from huvidpo.backbones import LoadedBackbone
from huvidpo.presets import BACKBONES
from huvidpo.ui.making import pair_quota_words

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):
    """Imports one of the programs as it runs: beside the others."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            del sys.modules[name]


class Shapes(TorchDispatchMode):
    """The last two sizes of every tensor that an operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[int, ...]] = set()

    def __torch_dispatch__(self, operation, types, arguments=(), settings=None):
        result = operation(*arguments, **(settings or {}))
        tree_map_only(torch.Tensor, lambda tensor: self.seen.add(tuple(tensor.shape[-2:])), result)
        return result


@pytest.mark.slow
@pytest.mark.parametrize("job", ["stage 2, pair at once", "a clip's step"])
def test_a_gpus_memory_is_counted_without_the_scores_of_attention(benchmark, job: str) -> None:
    """16x12 latents: 192 queries see the keys of two frames, 384, or the 77 of the text, which all 16 frames share."""
    memory = benchmark("memory")
    with Shapes() as shapes:
        found = memory.count(memory.JOBS[job], memory.NARROW, 16, 12, levels=0)
    assert found["peak"] > found["weights"] > 0
    assert not shapes.seen & {(192, 384), (384, 192), (16 * 192, 77), (77, 16 * 192)}
    assert (192, 32) in shapes.seen or (192, 8) in shapes.seen, "what attention reads was seen"


@pytest.mark.slow
def test_the_count_without_numbers_is_that_with_them(benchmark, capsys: pytest.CaptureFixture) -> None:
    """`--check` ends with a complaint where they differ by more than 1 %."""
    memory = benchmark("memory")
    memory.check(["a clip's step"])
    rows = capsys.readouterr().out.splitlines()[1:]
    assert len(rows) == 3 and all(float(row.split()[-1]) > 0 for row in rows)


def written_down() -> str:
    """docs/deploy.md, wherever its lines end."""
    return " ".join((BENCHMARKS.parent / "docs" / "deploy.md").read_text().split())


@pytest.mark.slow
def test_what_a_memory_mode_asks_for_is_what_it_takes_and_what_cuda_does(benchmark) -> None:
    """About 1 GB of CUDA's own, and less than 2.5 in all: more would keep a mode from a GPU that has room for it."""
    needs = BACKBONES["sd14"].gigabytes
    found = benchmark("memory").mode_gigabytes()
    assert list(found) == list(needs)
    written = written_down()
    for mode, (weights, peak) in found.items():
        assert weights < peak and peak + 1 < needs[mode] < peak + 2.5
        assert f"`{mode}` {weights:.1f} and {peak:.1f}" in written


def test_the_quota_that_is_written_down_is_what_the_page_asks_for(
    benchmark, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """docs/deploy.md has the command's figures, and the command those of the page."""
    benchmark("quota").main()
    cost = {row.split(" asks for ")[0].strip(): int(row.split()[-5]) for row in capsys.readouterr().out.splitlines()}
    frame, both, pair = cost["a first frame"], cost["a first frame and its clip"], cost["a pair"]
    training = f"45 s of training {cost['45 s of training']} s, the first of them {cost['the first of them']} s"
    words = f"a first frame costs {frame} s of quota, with its clip {both} s, a pair {pair} s and {training}"
    assert words in written_down()
    there = LoadedBackbone(BACKBONES["sd14"], "cuda", None, {}, {})
    monkeypatch.setenv("SPACES_ZERO_GPU", "1")
    assert pair_quota_words(there) == f"A pair asks for {pair} s of your quota."


@pytest.mark.slow
def test_one_round_is_enough_to_print_everything(
    benchmark, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    full_size = benchmark("full_size")
    tiny = full_size.Size((16, 32), 1, 8, 64, (8, 8, 8, 8), 4, 8, 8, 1, torch.float32)
    monkeypatch.setitem(full_size.SIZES, "reduced", tiny)

    def without_a_compiler(unet: torch.nn.Module) -> None:
        raise RuntimeError("Failed to find a C++ compiler.\nMore of it.")

    monkeypatch.setattr(full_size.VideoUNet, "compile_repeated_blocks", without_a_compiler)
    monkeypatch.setattr(sys, "argv", ["full_size.py", "--size", "reduced", "--rounds", "1", "--compile"])
    full_size.main()
    said = capsys.readouterr().out
    assert "compiled blocks: left out, RuntimeError: Failed to find a C++ compiler.\n" in said
    assert said.count("VideoUNet takes") == 4 and said.count("prompt to clip takes") == 3
    assert "of a large product of matrices here" in said and "Bound by " in said
    monkeypatch.setattr(sys, "argv", ["full_size.py", "--rounds", "0"])
    with pytest.raises(SystemExit):
        full_size.main()


@pytest.mark.slow
def test_every_form_of_a_step_of_first_frames_is_timed(
    benchmark, pocket_weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """But for the compiled one, which takes minutes and a compiler."""
    monkeypatch.setenv("HUVIDPO_POCKET_WEIGHTS", str(pocket_weights))
    step = benchmark("first_frame_step")
    forms = [form for form in step.FORMS if "compile" not in form]
    monkeypatch.setattr(sys, "argv", ["first_frame_step.py", "--repeats", "1", "--batch", "2", "--forms", *forms])
    step.main()
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row[:24].strip() for row in rows] == forms
    assert all(float(row.split()[-2]) > 0 for row in rows) and rows[0].endswith(" 1.00")
