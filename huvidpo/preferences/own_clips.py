"""Clips and verdicts that did not come from the page -> what can be trained on. Knows folders and scores, no models.

A folder holds one of these:

- `chosen/x.mp4` and `rejected/x.mp4`, pairs by name; a text file `x.txt` in `chosen` is the prompt of the pair
- `good/*.mp4` and `bad/*.mp4`, clips on their own (kto); a text file beside a clip is its prompt
- `scores.json`, `[{"video": "x.mp4", "score": 7.5}, ...]` as HuViDPO has it, beside the clips of one category

Clips may be mp4, m4v, mov, webm, mkv, gif, webp or folders of frames, of any size, and of 16 frames or more.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from random import Random

from huvidpo.categories import MAX_PROMPT
from huvidpo.preferences.pairs import JudgedClip, TrainingPair, TrainingSet
from huvidpo.video import CLIP_SUFFIXES

MAX_SCORES_BYTES = 1_000_000
MAX_CLIPS = 2000


def read_own_clips(folder: Path, objective: str, prompt: str, all_pairs: bool, seed: int) -> TrainingSet:
    """What `objective` can learn from a folder as above; `prompt` stands where no text file does.

    Scored clips are paired at random, each once, or all with all if `all_pairs`. Raises ValueError for a folder that
    holds none of these, or the wrong one for the objective.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder of clips at {folder}.")
    if objective == "kto":
        return read_judged_clips(folder, prompt)
    if (folder / "scores.json").is_file():
        clips, scores = read_scores(folder / "scores.json")
        pairs, ties = scored_pairs(clips, scores, prompt, all_pairs, seed)
        left_out = {"a tie": ties} if ties else {}
        return TrainingSet(pairs, left_out=left_out, sources_sha256=files_sha256(pairs), scored=True)
    return read_pairs(folder, prompt)


def read_pairs(folder: Path, prompt: str) -> TrainingSet:
    """`chosen` against `rejected`, by name. ValueError when a clip has no partner, or there are none."""
    chosen, rejected = clips_by_name(folder / "chosen"), clips_by_name(folder / "rejected")
    if not chosen and not rejected:
        raise ValueError(f"{folder} holds no pairs: it needs chosen/x.mp4 and rejected/x.mp4, or scores.json.")
    if alone := sorted(chosen.keys() ^ rejected.keys()):
        raise ValueError(f"The clip {alone[0]} of {folder} is in only one of chosen and rejected.")
    pairs = tuple(
        TrainingPair(chosen[name], rejected[name], prompt_beside(chosen[name], prompt)) for name in sorted(chosen)
    )
    return TrainingSet(pairs, sources_sha256=files_sha256(pairs))


def read_judged_clips(folder: Path, prompt: str) -> TrainingSet:
    """`good` and `bad` clips. ValueError unless there are some of each."""
    judged = []
    for name, good in (("good", True), ("bad", False)):
        found = clips_by_name(folder / name)
        if not found:
            raise ValueError(f"{folder} needs clips in good/ and in bad/; {name}/ holds none.")
        judged += [JudgedClip(path, prompt_beside(path, prompt), good) for _, path in sorted(found.items())]
    return TrainingSet(clips=tuple(judged), sources_sha256=files_sha256(judged))


def read_scores(path: Path) -> tuple[list[Path], list[float]]:
    """Clips and scores of a HuViDPO score file, higher is better. ValueError for anything else.

    Clips lie in the folder of the file or below; a name that leads elsewhere is refused, for the file may come from
    anyone. Names with a folder that is not there are looked for by their last part.
    """
    if path.stat().st_size > MAX_SCORES_BYTES:
        raise ValueError(f"{path} has more than {MAX_SCORES_BYTES // 10**6} MB.")
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        named = [(str(row["video"]), float(row["score"])) for row in rows]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f'{path} is no list of {{"video": name, "score": number}}.') from error
    root, clips = path.parent.resolve(), []
    for name, score in named:
        if not math.isfinite(score):
            raise ValueError(f"The score of {name} in {path} is not a number.")
        candidates = [root / name, root / Path(name.replace("\\", "/")).name]
        inside = [clip for clip in candidates if clip.exists() and clip.resolve().is_relative_to(root)]
        if not inside:
            raise ValueError(f"The clip {name} of {path} is not beside it.")
        clips.append(inside[0])
    return clips, [score for _, score in named]


def scored_pairs(
    clips: Sequence[Path], scores: Sequence[float], prompt: str, all_pairs: bool, seed: int
) -> tuple[tuple[TrainingPair, ...], int]:
    """Pairs of a category's scored clips, and how many of them were left out as ties.

    Random pairings, each clip once (HuViDPO's paper), or all n (n - 1) / 2 (its code). The higher score wins; equal
    scores are left out (in its code the second clip wins). Members have first frames of their own. ValueError for
    fewer than 2 clips.
    """
    if len(clips) < 2:
        raise ValueError(f"Pairs need at least 2 scored clips (8 to 16 are usual), not {len(clips)}.")
    order = list(range(len(clips)))
    Random(seed).shuffle(order)
    drawn = itertools.combinations(order, 2) if all_pairs else zip(order[::2], order[1::2], strict=False)
    pairs, ties = [], 0
    for i, j in drawn:
        if scores[i] == scores[j]:
            ties += 1
            continue
        winner, loser = (i, j) if scores[i] > scores[j] else (j, i)
        pairs.append(TrainingPair(clips[winner], clips[loser], prompt_beside(clips[winner], prompt)))
    return tuple(pairs), ties


def real_clips(folder: Path, prompt: str) -> tuple[tuple[Path, str], ...]:
    """The clips of a folder with their prompts, for the real-clip term. ValueError when there are none."""
    found = clips_by_name(folder)
    if not found:
        raise ValueError(f"{folder} holds no clips.")
    return tuple((path, prompt_beside(path, prompt)) for _, path in sorted(found.items()))


def clips_by_name(folder: Path) -> dict[str, Path]:
    """Name without suffix -> clip, for all clips of a folder that may not be there; ValueError for two of one name."""
    if not folder.is_dir():
        return {}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() or path.suffix.lower() in CLIP_SUFFIXES:
            name = path.name if path.is_dir() else path.stem
            if name in found:
                raise ValueError(f"{folder} has two clips called {name}.")
            found[name] = path
    if len(found) > MAX_CLIPS:
        raise ValueError(f"{folder} has more than {MAX_CLIPS} clips.")
    return found


def prompt_beside(clip: Path, prompt: str) -> str:
    """The words of the text file beside a clip, else `prompt`."""
    caption = clip.with_name(f"{clip.name if clip.is_dir() else clip.stem}.txt")
    text = caption.read_text(errors="replace", encoding="utf-8-sig")[:MAX_PROMPT].strip() if caption.is_file() else ""
    return text or prompt


def files_sha256(examples: Sequence[TrainingPair | JudgedClip]) -> str:
    """The sha256 of the files in their order, and of what was said of them."""
    digest = hashlib.sha256()
    for example in examples:
        pair = isinstance(example, TrainingPair)
        digest.update(json.dumps([example.prompt, example.segments if pair else example.good]).encode())
        for path in (example.winner, example.loser) if pair else (example.clip,):
            digest.update(file_sha256(path).encode())
    return digest.hexdigest()


def real_sha256(real: Sequence[tuple[Path, str]]) -> str:
    """The sha256 of real clips and their prompts in their order, wherever the files lie; "" without any."""
    rows = [[prompt, file_sha256(path)] for path, prompt in real]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest() if rows else ""


def file_sha256(path: Path) -> str:
    """Of a file's bytes; of a folder of frames, of the bytes of its files in the order of their names."""
    digest = hashlib.sha256()
    for part in sorted(path.iterdir()) if path.is_dir() else [path]:
        if part.is_file():
            digest.update(part.read_bytes())
    return digest.hexdigest()
