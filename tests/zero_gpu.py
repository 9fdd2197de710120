"""ZeroGPU's rules without its hardware, for a function decorated with `spaces.GPU`.

Calls run in a forked process. Arguments, what is yielded and errors cross by pickling. A worker may be a used one: it
keeps what earlier calls did to its memory, and this process sees none of that. Only `gr.Error` keeps its words.
Not emulated: the patched CUDA of the parent and the packing of weights (real_zero_gpu.py has the package itself).
"""

import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
import torch


class ZeroGPU:
    """Stands in for `spaces.GPU`; one worker serves all calls until it is told to end."""

    def __init__(self) -> None:
        self.decorated: list[str] = []
        self.asked_seconds: list[int] = []
        self.workers: set[int] = set()
        self._process: multiprocessing.Process | None = None

    def __call__(self, duration: Callable[..., int]) -> Callable:
        def decorate(function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
            self.decorated.append(function.__name__)

            def on_gpu(*arguments: Any) -> Iterator[Any]:
                self.asked_seconds.append(duration(*arguments))
                yield from self._call(function, pickle.dumps(arguments))

            return on_gpu

        return decorate

    def _call(self, function: Callable, arguments: bytes) -> Iterator[Any]:
        if self._process is None:
            context = multiprocessing.get_context("fork")
            self._calls, inside = context.Pipe()
            self._process = context.Process(target=serve, args=(function, inside), daemon=True)
            self._process.start()
        self._calls.send_bytes(arguments)
        while True:
            kind, pid, value = pickle.loads(self._calls.recv_bytes())
            self.workers.add(pid)
            if kind == "end":
                return
            if kind == "error":
                raise value
            assert_plain(value)
            yield value

    def end_worker(self) -> None:
        """The next call gets a fresh one."""
        if self._process:
            self._process.kill()
            self._process.join()
            self._process = None


def serve(function: Callable, calls: Any) -> None:
    """The worker: one call after the other."""
    torch.set_num_threads(1)
    while True:
        arguments = pickle.loads(calls.recv_bytes())
        try:
            for value in function(*arguments):
                calls.send_bytes(pickle.dumps(("value", os.getpid(), value)))
            answer: tuple[str, int, Any] = ("end", os.getpid(), None)
        except gr.Error as error:
            answer = ("error", os.getpid(), gr.Error(error.message, print_exception=False))
        except BaseException as error:
            answer = ("error", os.getpid(), gr.Error(type(error).__name__))
        calls.send_bytes(pickle.dumps(answer))


def assert_plain(value: Any) -> None:
    """What crosses is no tensor, which would be one of a GPU there, nor anything that holds one."""
    held = vars(value).values() if hasattr(value, "__dict__") else [value]
    assert not any(isinstance(item, torch.Tensor) for item in held)
