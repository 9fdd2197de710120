"""README.md of the dataset on the Hub: columns pinned, licence, how it was collected, figures. Knows no network."""

import json
import re
from datetime import UTC, datetime

from huvidpo.preferences.fields import fields_of
from huvidpo.preferences.records import PREFERENCES, Answers, Pair, Rating, TakeRecord
from huvidpo.preferences.statistics import Summary

DATA_LICENCE = "CC BY 4.0"
# Only what stands between these two lines is replaced later; the rest of a card belongs to the dataset's owner.
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
KINDS = {str: "string", int: "int64", float: "float64", bool: "bool"}
BODY = """
# Which clip is better? Ratings of pairs of generated videos

Each row is one person's answer on two clips of the same prompt (and mostly of the same first frame), shown side by
side, blind, left and right by chance. Not so: rows with scores (`score_a` is not -1), of other programs
(`rater_kind` is `import`) and from the owner's command line (`owner` with `decision_ms` -1), whose `left_is` says
nothing. Collected with the page of HuViDPO Space, which says beside what is rated that choices and their clips are
published here under {licence}, under a pseudonym.

```python
from datasets import Video, load_dataset

ratings = load_dataset({repo!r}, split="train")  # decoding videos needs torchcodec
ratings = ratings.cast_column("video_a", Video(decode=False)).cast_column("video_b", Video(decode=False))
```

- `preference` is `a`, `b`, `tie_good`, `tie_bad` or `withdrawn`; `label_a` and `label_b` say it as Pick-a-Pic does
  (1 and 0, one half each for a tie, -1 for withdrawn). `a` and `b` are the order of making; `left_is` says which was
  on the left.
- **Rows are never changed.** A row whose `supersedes` names a `rating_id` of the same `rater` replaces that rating, or
  with `withdrawn` takes it back: leave both of the latter out. `python -m huvidpo pull` does all of this.
- `split` is `train` or `measure`, drawn once for each pair. Do not train on `measure` pairs: win rates come from them.
- `segment_labels` judges four equal parts of the clips (`a`, `b`, `tie`, `-` for not judged).
- `take_a` and `take_b` hold what is needed to make the clips again. `motion` is the mean optical flow in percent of
  the longer side per frame: people may prefer what moves less, so look at it.
- `first_frame` is the sha256 of a picture, which lies at `frames/<sha256>.png` beside the row's `metadata.jsonl`.
- `is_repeat` marks pairs that came back to a rater with sides swapped. `rater` is a salted hash; it names nobody.
- Nothing is null: "" and -1 mean unknown, 0 an unanswered one of the three questions (1 to 5).
"""


def new_card(repo: str, summary: Summary) -> str:
    """The whole card of a new dataset; `repo` is its name on the Hub."""
    head = {
        "license": "cc-by-4.0",
        "pretty_name": "Preferences between generated videos",
        "language": ["en"],
        "task_categories": ["image-to-video", "text-to-video"],
        "annotations_creators": ["crowdsourced"],
        "source_datasets": ["original"],
        "tags": ["human-feedback", "preference", "dpo", "video", "huvidpo"],
        "configs": [
            {
                "config_name": "default",
                "drop_labels": True,
                "data_files": [{"split": "train", "path": "data/train/**"}],
            }
        ],
        "dataset_info": {"features": features()},
    }
    lines = [f"{name}: {json.dumps(value)}" for name, value in head.items()]  # JSON is YAML
    body = BODY.format(licence=DATA_LICENCE, repo=repo)
    return "\n".join(["---", *lines, "---", body.rstrip(), "", figures(summary), ""])


def renewed_card(card: str, summary: Summary) -> str:
    """A card with today's figures in the place of the old ones; a card without that place stays as it is."""
    return re.sub(f"{BEGIN}.*?{END}", lambda _: figures(summary), card, count=1, flags=re.DOTALL)


def figures(summary: Summary) -> str:
    """What is known about the ratings, between the two marks."""
    counted = ", ".join(f"{summary.preferences[preference]} {preference}" for preference in PREFERENCES)
    alpha = "no data yet" if summary.alpha != summary.alpha else f"{summary.alpha:.2f}"
    rows = {
        "ratings that count": f"{summary.ratings} ({counted})",
        "pairs, raters": f"{summary.pairs}, {summary.raters}",
        "left side chosen": summary.left,
        "same answer when sides were swapped": summary.repeats,
        "agreement of raters (Krippendorff's alpha)": alpha,
        "stiller side chosen": summary.stiller,
    }
    table = [f"| {name} | {value} |" for name, value in rows.items()]
    day = f"As counted on {datetime.now(UTC):%Y-%m-%d} by the last deployment that wrote here:"
    return "\n".join([BEGIN, "## Figures", "", day, "", "| | |", "|---|---|", *table, END])


def features() -> list[dict[str, object]]:
    """The columns with their types, as `datasets` reads them from a card: pinned, as first rows may all be empty."""

    def struct(cls: type) -> list[dict[str, str]]:
        return [{"name": field.name, "dtype": KINDS[field.kind]} for field in fields_of(cls)]

    own = [field for field in (*fields_of(Rating), *fields_of(Pair)) if field.kind in KINDS]
    columns: list[dict[str, object]] = [{"name": f"video_{side}", "dtype": "video"} for side in "ab"]
    columns += [{"name": field.name, "dtype": KINDS[field.kind]} for field in own]
    columns += [{"name": f"label_{side}", "dtype": "float64"} for side in "ab"]
    columns += [{"name": "num_segments", "dtype": "int64"}, {"name": "segment_labels", "list": "string"}]
    for name, kind in (("sha256", "string"), ("seed", "int64"), ("adapter", "string"), ("motion", "float64")):
        columns += [{"name": f"{name}_{side}", "dtype": kind} for side in "ab"]
    columns += [{"name": f"answers_{side}", "struct": struct(Answers)} for side in "ab"]
    return columns + [{"name": f"take_{side}", "struct": struct(TakeRecord)} for side in "ab"]
