"""Numbers in words, as the page says them."""


def duration(seconds: float) -> str:
    """Seconds in words, roughly: "8 s", "3 min", "2.5 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def counted(number: object, one: str, many: str = "") -> str:
    """A number with its noun: "1 pair", "2 pairs"; `many` where an s does not make it."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"
