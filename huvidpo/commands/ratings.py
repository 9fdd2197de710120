"""The commands about pairs and ratings."""

import dataclasses
import hashlib
import math
from argparse import Namespace
from contextlib import closing
from typing import TYPE_CHECKING

from tqdm import tqdm

from huvidpo.commands.common import answer, check_alone, chosen_preset, follow, load, take_requests, warn, warn_of
from huvidpo.home import home
from huvidpo.images import read_image
from huvidpo.preferences.pairing import check_pairing, default_pairing, pair_requests
from huvidpo.preferences.raters import rater_hash, rater_salt
from huvidpo.preferences.records import Pair, Rating, new_id
from huvidpo.preferences.store import RatingStore
from huvidpo.requests import MAX_SEED, ClipRequest, starting_from
from huvidpo.video import read_frames

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


def pair(arguments: Namespace) -> None:
    """`pair`: two takes of one prompt and one first frame; with --count many such pairs."""
    if arguments.count is not None:
        return pairs(arguments)
    check_alone("pair without --count")
    if (arguments.pairing == "aligned") != (arguments.source is not None):
        raise ValueError("--source names the clip that aligned takes start from: it goes with --pairing aligned only.")
    image = read_image(arguments.first_frame) if arguments.first_frame else None
    from huvidpo.adapters import find_adapter

    request, first = take_requests(arguments)
    pairing = chosen_pairing(request, arguments)
    preset = chosen_preset(arguments)
    for name in {arguments.adapter, arguments.adapter if arguments.against is None else arguments.against}:
        find_adapter(preset.name, request.category, name)
    from huvidpo import takes
    from huvidpo.preferences.making import keep_pair

    store, source, source_sha256 = RatingStore(home()), None, ""
    if arguments.source:
        source, _ = read_frames(arguments.source, max_frames=preset.num_frames)
        source_sha256 = hashlib.sha256(arguments.source.read_bytes()).hexdigest()
    backbone = load(arguments)
    warnings = warn(backbone, request, arguments.against)
    if image is None and source is None:
        frame = follow(takes.make_first_frame(backbone, first), "First frame")
        image, request = frame.image, starting_from(request, frame.request)
    image = image or first_image(source)
    asked = pair_requests(preset, request, pairing, source_sha256, arguments.against)
    clips = []
    for side, one in zip("ab", asked, strict=True):
        clips.append(follow(takes.make_clip(backbone, image, one, source, previews=False), f"Take {side}"))
    made = keep_pair(store, *clips, image, request.prompt, request.category, "queue", pairing)
    files = {side: str(store.video_path(take.sha256)) for side, take in (("a", made.a), ("b", made.b))}
    said = {"seed": request.seed, "split": made.split, "motion": {"a": made.a.motion, "b": made.b.motion}}
    result = {"pair_id": made.pair_id, **files, **said, "warnings": warnings}
    answer(arguments, result, [f"{made.pair_id} (seed {request.seed})", f"a: {files['a']}", f"b: {files['b']}"])


def pairs(arguments: Namespace) -> None:
    """`pair --count N`: a pair for each of N seeds; under `accelerate launch` every process makes its share."""
    if arguments.count < 1:
        raise ValueError(f"The number of pairs must be at least 1, not {arguments.count}.")
    given = arguments.first_frame or arguments.source or arguments.first_frame_seed is not None
    if given or arguments.pairing == "aligned":
        raise ValueError(
            "With --count every pair has a first frame of its own: leave --first-frame, --first-frame-seed and "
            "--source out."
        )
    request, first = take_requests(arguments)
    pairing = chosen_pairing(request, arguments)
    start = arguments.seed or 0  # not a random one: started again, the command goes on
    if start + arguments.count - 1 > MAX_SEED:
        raise ValueError(f"The seeds would go beyond {MAX_SEED}: choose a smaller --seed.")
    from huvidpo.preferences.bulk import PairOrder, make_pairs, pairs_there
    from huvidpo.training.processes import join_processes, own_share, process_number, wait_for_all

    seeds = list(range(start, start + arguments.count))
    order = PairOrder(request, first, pairing, arguments.against)
    join_processes()
    rank, _ = process_number()
    store, backbone = RatingStore(home()), load(arguments)
    warnings = warn(backbone, request, arguments.against) if rank == 0 else []
    own = own_share(seeds)
    with closing(make_pairs(backbone, store, order, own)) as events, tqdm(total=len(own), disable=None) as bar:
        for event in events:
            bar.update(isinstance(event, Pair))
    wait_for_all()
    if rank == 0:
        there = pairs_there(backbone, store, order, seeds)
        if None in there:
            raise ValueError(f"What other processes made is not in {home()}: pair --count is for one machine.")
        made = [pair.pair_id for pair in there]
        answer(arguments, {"pairs": made, "seeds": seeds, "warnings": warnings}, made)


def chosen_pairing(request: ClipRequest, arguments: Namespace) -> str:
    """--pairing, else the usual one for the request. ValueError for one that does not go with it."""
    pairing = arguments.pairing or default_pairing(request, arguments.against)
    check_pairing(request, pairing, arguments.against)
    return pairing


def rate(arguments: Namespace) -> None:
    """`rate`: the owner's own rating of a pair."""
    store = RatingStore(home())
    pair = store.pair(arguments.pair)
    own = [one for one in store.ratings(pair.category, owner()) if one.rater_kind == "owner"]
    earlier = [one.rating_id for one in own if one.pair.pair_id == pair.pair_id]
    supersedes = arguments.supersedes or next(reversed(earlier), "")
    segments = tuple(label.strip() for label in arguments.segments.split(",")) if arguments.segments else ("-",) * 4
    rating = Rating(
        rating_id=new_id(),
        pair=pair,
        preference=arguments.preference,
        left_is="a",  # the order in which `pair` names the files
        rater=owner(),
        rater_kind="owner",
        segment_labels=segments,
        supersedes=supersedes,
    )
    store.append(rating)
    result = {"rating_id": rating.rating_id, "pair_id": pair.pair_id, "preference": rating.preference}
    replaced = f" It takes the place of your earlier one, {supersedes}." if supersedes else ""
    answer(
        arguments,
        result | {"supersedes": supersedes} | counted(store),
        [f"Saved rating {rating.rating_id}.{replaced}"],
    )


def withdraw(arguments: Namespace) -> None:
    """`withdraw`: an own rating is taken back."""
    store = RatingStore(home())
    store.withdraw(arguments.rating, owner())
    answer(arguments, {"rating_id": arguments.rating, **counted(store)}, [f"Took rating {arguments.rating} back."])


def ratings(arguments: Namespace) -> None:
    """`ratings`: those that count, and what they say about the raters."""
    from huvidpo.preferences.statistics import stillness_warning, summarise

    store = RatingStore(home())
    found = store.ratings(arguments.category)
    summary = summarise(found)
    shares = {name: getattr(summary, name) for name in ("left", "repeats", "stiller")}
    warning = stillness_warning(summary.stiller)
    alpha = "not known yet" if math.isnan(summary.alpha) else f"{summary.alpha:.2f}"
    result = {
        "ratings": [rating.to_row() for rating in found],
        "raters": summary.raters,
        "pairs": summary.pairs,
        "preferences": summary.preferences,
        "alpha": None if math.isnan(summary.alpha) else summary.alpha,
        **{
            name: {"count": share.count, "total": share.total, "interval": share.interval}
            for name, share in shares.items()
        },
        "warnings": [warning] if warning else [],
    }
    lines = [" ".join([one.rating_id, one.created_at[:19], one.preference, one.pair.prompt]) for one in found]
    lines += [
        f"ratings: {summary.ratings}, raters: {summary.raters}, pairs: {summary.pairs}",
        f"left side chosen: {summary.left}",
        f"same answer when sides were swapped: {summary.repeats}",
        f"agreement of raters (Krippendorff's alpha, 1 is full): {alpha}",
        f"stiller side chosen: {summary.stiller}",
        *result["warnings"],
    ]
    answer(arguments, result | counted(store), lines if found else ["There are no ratings yet."])


def import_ratings(arguments: Namespace) -> None:
    """`import-ratings`: from a CSV, JSON or JSONL file, or a folder that holds one."""
    from huvidpo.preferences.exchange import import_ratings as take_over

    store = RatingStore(home())
    done = take_over(store, arguments.file, owner(), arguments.category or "", arguments.prompt, arguments.all_pairs)
    known = f" {done.known} were here already." if done.known else ""
    lines = [f"Imported: {done.ratings} ratings, {done.pairs} new pairs.{known}"]
    answer(arguments, dataclasses.asdict(done) | counted(store), lines)


def export_ratings(arguments: Namespace) -> None:
    """`export-ratings`: plain files for other programs."""
    from huvidpo.preferences.export import export_ratings as write

    store = RatingStore(home())
    rows = write(store, arguments.out, arguments.layout, arguments.category)
    actions = sorted({rating.pair.category for rating in store.ratings(arguments.category)})
    if arguments.layout == "chosen-rejected" and len(actions) > 1:
        warn_of([f"its pairs are of {', '.join(actions)}; an adapter learns one action: --category chooses it."])
    answer(arguments, {"out": str(arguments.out), "rows": rows}, [f"{arguments.out}: {rows} rows"])


def push(arguments: Namespace) -> None:
    """`push`: what waits, to the dataset on the Hub."""
    repo = chosen_repo(arguments)
    from huvidpo.preferences import hub

    store = RatingStore(home())
    try:
        rows = hub.push(store, repo, hub.new_api())
    except ValueError as error:
        raise ValueError(f"{error} What is not uploaded waits here.") from error
    answer(arguments, {"dataset": repo, "pushed": rows, **counted(store)}, [f"{rows} rows uploaded to {repo}."])


def pull(arguments: Namespace) -> None:
    """`pull`: others' ratings from the dataset on the Hub."""
    repo = chosen_repo(arguments)
    from huvidpo.preferences import hub

    store = RatingStore(home())
    pulled = hub.pull(store, repo, hub.new_api())
    lines = [f"{pulled.records} new rows in {pulled.batches} batches from {repo}.", *pulled.refused]
    answer(arguments, {"dataset": repo, **dataclasses.asdict(pulled), **counted(store)}, lines)


def chosen_repo(arguments: Namespace) -> str:
    """--dataset or HUVIDPO_DATASET. ValueError when there is neither."""
    from huvidpo.hub_errors import check_repo
    from huvidpo.preferences.hub import dataset_repo

    repo = arguments.dataset or dataset_repo()
    check_repo(repo, "Name the dataset as owner/name: set HUVIDPO_DATASET, or give --dataset.")
    return repo


def owner() -> str:
    """Who rates on the command line of this deployment."""
    return rater_hash("owner", "", rater_salt(home()))


def counted(store: RatingStore) -> dict[str, int]:
    """How many ratings are saved, and how many rows are not uploaded yet."""
    counts = store.counts()
    return {"saved": counts.saved, "waiting": counts.waiting}


def first_image(frames: "np.ndarray") -> "Image.Image":
    """The first of the frames, uint8 (f h w 3)."""
    from PIL import Image

    return Image.fromarray(frames[0])
