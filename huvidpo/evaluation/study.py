"""A study: a fixed set of clips that invited people see blind and mark on three questions. Knows no page, no model.

A study is a folder `studies/<name>` in the home: `study.json`, which never changes, the clips under the sha256 of
their bytes, and `answers.db`, to which rows are appended. The paper's own had 14 prompts, 4 systems and 58 people.
"""

import json
import random
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from huvidpo.checks import require
from huvidpo.evaluation.metrics import is_still, motion_magnitude
from huvidpo.preferences.database import Database
from huvidpo.preferences.fields import check_fields, check_identifier, check_sha256, from_fields
from huvidpo.preferences.files import FOLDERS, file_path, keep_file, writing
from huvidpo.preferences.records import Answers, now
from huvidpo.video import read_frames

# The paper's three questions, as people are asked them; each is answered from 1 (not at all) to 5 (fully).
QUESTIONS = {
    "alignment": "Does the clip show what the words say?",
    "quality": "Does it look good?",
    "consistency": "Do its frames fit together?",
}
MAX_CLIPS = 400  # more than anyone looks at
MAX_STUDY_BYTES = 4_000_000
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    number INTEGER PRIMARY KEY, participant TEXT NOT NULL, place INTEGER NOT NULL, alignment INTEGER NOT NULL,
    quality INTEGER NOT NULL, consistency INTEGER NOT NULL, answered_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS answers_participant ON answers (participant);
"""
# A later answer of the same person about the same clip takes the place of an earlier one.
CURRENT = "number IN (SELECT MAX(number) FROM answers GROUP BY participant, place)"


@dataclass(frozen=True)
class StudyClip:
    """One clip of a study; its place in the list of clips is its name."""

    system: str
    prompt: str
    sha256: str  # of its mp4 file
    motion: float  # mean optical flow, see evaluation.metrics.motion_magnitude
    still: bool = False  # whether it stands still; also False where an older study does not say

    def __post_init__(self) -> None:
        check_fields(self)
        check_sha256("A clip", self.sha256)


@dataclass(frozen=True)
class Study:
    """What people are shown: one clip of every system for every prompt."""

    name: str
    clips: tuple[StudyClip, ...]
    created_at: str = field(default_factory=now)
    titles: Mapping[str, str] = field(default_factory=dict)  # of the systems, for people

    def title(self, system: str) -> str:
        """What people who read results are told a system is; its name where nothing else is known."""
        return self.titles.get(system, system)

    @property
    def systems(self) -> list[str]:
        return list(dict.fromkeys(clip.system for clip in self.clips))

    @property
    def prompts(self) -> list[str]:
        return list(dict.fromkeys(clip.prompt for clip in self.clips))


@dataclass(frozen=True)
class StudyAnswer:
    """What one person said of one clip."""

    participant: str  # salted hash; another one in every study
    place: int  # of the clip
    answers: Answers
    answered_at: str


def create_study(
    home: Path, name: str, clips: Mapping[str, Mapping[str, Path]], titles: Mapping[str, str] | None = None
) -> tuple[Study, list[str]]:
    """Makes a study of prompt -> system -> mp4 file; gives it with a sentence for each prompt that was left out.

    `titles` say what the systems are to those who read the results. A prompt is left out when a system lacks it or its
    clip cannot be read; the rest is kept. ValueError when the name is unfit or taken, there are fewer than two
    systems, or nothing is left.
    """
    folder = study_folder(home, name)
    if folder.exists():
        raise ValueError(f"There is a study {name!r} already; choose another name.")
    systems = list(dict.fromkeys(system for files in clips.values() for system in files))
    require(len(systems) > 1, "A study compares two systems or more.")
    require(len(systems) * len(clips) <= MAX_CLIPS, f"A study has at most {MAX_CLIPS} clips: take fewer prompts.")
    kept: list[StudyClip] = []
    problems: list[str] = []
    with being_made(folder) as unfinished:
        for prompt, files in clips.items():
            try:
                missing = [system for system in systems if system not in files]
                require(not missing, f"{', '.join(missing)} has no clip of it.")
                kept += [keep_clip(unfinished, system, prompt, files[system]) for system in systems]
            except ValueError as error:
                problems.append(f"The prompt {prompt!r} was left out: {error}")
        require(kept, " ".join(["Nothing is left to show.", *problems[:1]]))
        study = Study(name, tuple(kept), titles=dict(titles or {}))
        text = json.dumps(asdict(study), indent=1) + "\n"
        (unfinished / "study.json").write_text(text, encoding="utf-8")
    return study, problems


@contextmanager
def being_made(folder: Path) -> Iterator[Path]:
    """A neighbour of `folder` that takes its place when the block ends well, and is gone when it does not."""
    unfinished = folder.with_name(f".{uuid.uuid4().hex}")
    try:
        with writing():
            (unfinished / FOLDERS[".mp4"]).mkdir(parents=True)
            yield unfinished
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def keep_clip(folder: Path, system: str, prompt: str, file: Path) -> StudyClip:
    """Copies a clip into the study; ValueError when it cannot be read as one."""
    frames, _ = read_frames(file)
    return StudyClip(system, prompt, keep_file(folder, file), round(motion_magnitude(frames), 4), is_still(frames))


def study_folder(home: Path, name: str) -> Path:
    """Where a study lies, or would lie. ValueError for what is no name: it may come from anyone."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"A study's name has small letters, digits and -, at most 64; not {str(name)[:80]!r}.")
    return home / "studies" / name


def read_study(home: Path, name: str) -> Study:
    """The study of that name; ValueError when there is none, or its file is not one."""
    file = study_folder(home, name) / "study.json"
    if not file.is_file() or file.stat().st_size > MAX_STUDY_BYTES:
        raise ValueError(f"There is no study {name!r}.")
    try:
        row: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        clips = tuple(from_fields(StudyClip, clip) for clip in row["clips"])
        titles = {str(system): str(title) for system, title in dict(row.get("titles", {})).items()}
        return Study(name, clips, str(row["created_at"]), titles)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"The study {name!r} cannot be read: {error}") from error


def list_studies(home: Path) -> list[str]:
    """Names of the studies in a home, the newest first."""
    found = (home / "studies").glob("*/study.json")
    newest = sorted(found, key=lambda file: file.stat().st_mtime, reverse=True)
    return [file.parent.name for file in newest if NAME.fullmatch(file.parent.name)]


class StudyAnswers:
    """The answers of a study: appended to, never rewritten. Every method may be called from any thread."""

    def __init__(self, home: Path, study: Study):
        self.study, self.folder = study, study_folder(home, study.name)
        self._database = Database(self.folder / "answers.db", SCHEMA)

    def close(self) -> None:
        """Ends the use of this object; nothing is lost without it."""
        self._database.close()

    def clip_path(self, place: int) -> Path:
        """The mp4 file of a clip."""
        return file_path(self.folder, self.study.clips[place].sha256, ".mp4")

    def append(self, participant: str, place: int, answers: Answers) -> None:
        """Keeps an answer; it is on the disk when this returns. ValueError for no such clip or an open question."""
        check_identifier("participant", participant)
        require(type(place) is int and 0 <= place < len(self.study.clips), "There is no such clip in this study.")
        given = tuple(getattr(answers, question) for question in QUESTIONS)
        require(all(given), "Please answer all three questions.")
        with self._database.transaction() as database:
            database.execute(
                "INSERT INTO answers (participant, place, alignment, quality, consistency, answered_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (participant, place, *given, now()),
            )

    def answers(self) -> list[StudyAnswer]:
        """The answers that count, the oldest first."""
        query = f"""
            SELECT participant, place, alignment, quality, consistency, answered_at FROM answers
            WHERE {CURRENT} ORDER BY number
        """
        return [StudyAnswer(row[0], row[1], Answers(*row[2:5]), row[5]) for row in self._database.rows(query)]

    def answered(self, participant: str) -> dict[int, Answers]:
        """Place of a clip -> what this person said of it."""
        query = f"""
            SELECT place, alignment, quality, consistency FROM answers WHERE participant = ? AND {CURRENT}
        """
        return {row[0]: Answers(*row[1:]) for row in self._database.rows(query, participant)}

    def order(self, participant: str) -> list[int]:
        """The order in which this person sees the clips, always the same: prompt after prompt, both orders drawn."""
        draw = random.Random(f"{self.study.name} {participant}")
        places: dict[str, list[int]] = {prompt: [] for prompt in self.study.prompts}
        for place, clip in enumerate(self.study.clips):
            places[clip.prompt].append(place)
        blocks = list(places.values())
        draw.shuffle(blocks)
        for block in blocks:
            draw.shuffle(block)
        return [place for block in blocks for place in block]


def answers_of(home: Path, name: str) -> tuple[Study, list[StudyAnswer]]:
    """A study and the answers that count."""
    study = read_study(home, name)
    with closing(StudyAnswers(home, study)) as answers:
        return study, answers.answers()


def spread(prompts: Iterable[tuple[str, str]], count: int) -> list[str]:
    """`count` of the (category, prompt) given, taken from the categories in turn, in their order."""
    queues: dict[str, list[str]] = {}
    for category, prompt in prompts:
        queues.setdefault(category, []).append(prompt)
    rounds = max(map(len, queues.values()), default=0)
    turns = [queue[i] for i in range(rounds) for queue in queues.values() if i < len(queue)]
    return turns[:count]
