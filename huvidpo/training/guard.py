"""When a preference run should stop by itself. Knows the rows of its log and nothing else."""

import math
from statistics import mean, median

PATIENCE = 40  # steps over which noisy numbers are averaged
# Of the winners' error: the policy may get that much worse on them. One step's share has a deviation of 2 to 5 % on
# pocket, so 20 steps without any drift may show 1 %; winners that came back were seen at 2 % on the way.
MAX_WINNER_DRIFT = 0.03
EXPLODED = 20.0  # times the usual gradient norm
MIN_MOTION = 0.75  # of the motion before training

NO_NUMBERS = "The gradients are no longer numbers."

Row = dict[str, float | None]  # PreferenceRecord.to_row(); None where a step had nothing to measure


def reason_to_stop(rows: list[Row]) -> str:
    """Why a run with these rows, the oldest first, should stop; "" when it may go on.

    The winners' error is compared with the reference's: DPO's loss also falls when both members of a pair get less
    likely, as long as the loser does so faster, and then clips fall apart. Motion is that of the validation clips,
    twice in a row.
    """
    if is_broken(rows[-1]):
        return NO_NUMBERS
    norms = [row["gradient_norm"] for row in rows]
    if len(norms) > PATIENCE and min(norms[-3:]) > EXPLODED * median(norms[:-3]):
        return f"The gradients exploded: three steps in a row were over {EXPLODED:g} times the usual norm."
    drift = winner_drift(rows)
    if len(rows) >= PATIENCE and drift > MAX_WINNER_DRIFT:
        return (
            f"The winners are getting less likely too: in the last {PATIENCE} steps their error was {drift:.1%} "
            "above the reference's. A larger beta, a smaller learning rate or a stronger winner anchor holds them."
        )
    motion = measured_motion(rows)
    if len(motion) >= 2 and max(motion[-2:]) < MIN_MOTION:
        return f"The clips are losing their motion: {motion[-1]:.0%} of what it was before training."
    return ""


def is_broken(row: Row) -> bool:
    """Whether a step's loss or gradient is no number: no weights may come of it, guard or not."""
    return not all(row[name] is not None and math.isfinite(row[name]) for name in ("loss", "gradient_norm"))


def measured_motion(rows: list[Row]) -> list[float]:
    """The motion of the validation clips, each time that it was measured."""
    return [row["motion"] for row in rows if row["motion"] >= 0]


def has_lost_motion(rows: list[Row]) -> bool:
    """Whether validation clips had lost their motion when they were last looked at."""
    return any(motion < MIN_MOTION for motion in measured_motion(rows)[-1:])


def winner_drift(rows: list[Row]) -> float:
    """How far the winners' error lies above the reference's lately, as a share of it; negative is better.

    Of all recent steps or of the later half of them, whichever is less: winners that come back do not drift away.
    """
    return min(share_of_drift(rows[-PATIENCE:]), share_of_drift(rows[-PATIENCE // 2 :]))


def share_of_drift(rows: list[Row]) -> float:
    """The winners' mean drift over those of these steps that had any, as a share of the reference's error."""
    known = [row for row in rows if row["winner_error"] is not None]
    error = mean(row["winner_error"] - row["winner_drift"] for row in known) if known else 0.0
    return mean(row["winner_drift"] for row in known) / error if error > 0 else 0.0


def recent_loss(rows: list[Row]) -> float:
    """The mean loss of the last steps."""
    return mean(row["loss"] for row in rows[-PATIENCE:])
