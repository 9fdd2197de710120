"""Whose turn it is with the model: who is at work, for how long others wait. Knows nothing of what is made."""

import threading
import time
from collections.abc import Iterator

from huvidpo.ui.jobs import Job, Run, Step, TrainSlice
from huvidpo.ui.making import WAITING
from huvidpo.ui.phrases import duration


class CountedRun:
    """A `Run` that knows whether anyone is waiting for it, and for what, and can be given up at once.

    Gradio closes a cancelled generator where it answers all requests: whatever the model is in the middle of, a step
    or a picture's decoding, comes to its end on a thread of its own.
    """

    def __init__(self, run: Run, one_at_a_time: bool = True):
        """`one_at_a_time` says whether who comes later waits; on ZeroGPU everybody gets a worker."""
        self.run, self.active, self.one_at_a_time = run, 0, one_at_a_time
        self._trains_until = 0.0  # seconds of the monotonic clock
        self._lock = threading.Lock()

    def waiting(self, otherwise: str = WAITING) -> str:
        """What to say to who asks for the model now: for what they wait and how long, where that is known."""
        if not (self.one_at_a_time and self._trains_until):
            return otherwise
        left = duration(max(5.0, self._trains_until - time.monotonic()))  # a step that has begun comes to its end
        why = "an adapter is being trained. That makes way"
        return f"Waiting for the model: {why} within about {left}, or once it is paused."

    def __call__(self, job: Job) -> Iterator[Step]:
        self._begin(job)
        steps = self.run(job)
        try:
            for item in steps:  # noqa: UP028 - `yield from` would close it here and wait
                yield item
        except GeneratorExit:
            threading.Thread(target=self._close, args=(job, steps), daemon=True).start()
            raise
        except BaseException:
            self._end(job)
            raise
        self._end(job)

    def _close(self, job: Job, steps: Iterator[Step]) -> None:
        try:
            steps.close()
        finally:
            self._end(job)

    def _begin(self, job: Job) -> None:
        with self._lock:
            self.active += 1
            if isinstance(job, TrainSlice):
                self._trains_until = time.monotonic() + job.seconds

    def _end(self, job: Job) -> None:
        with self._lock:
            self.active -= 1
            if isinstance(job, TrainSlice):
                self._trains_until = 0.0
