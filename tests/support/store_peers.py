"""Other processes for tests of the shared store: each with a store of its own, told what to do."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = [sys.executable, "-m", "tests.support.store_process"]


def line_of(name: str, labels: Mapping[str, str]) -> str:
    """Write a sample as the text format does, without its value."""
    inner = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{inner}}}" if inner else name


def figures(snapshot: Any, *, everything: bool = False) -> dict[str, float]:
    """Return the values of a snapshot by line; no line may be there twice.

    The store's own counts of faults are among them only if they are not 0.
    """
    keys = [key for family in snapshot.layout.families for key in family.samples]
    assert len(keys) == len(snapshot.values)
    lines = [line_of(key.name, dict(key.labels)) for key in keys]
    assert len(set(lines)) == len(lines), "a line stands in the snapshot twice"
    return {
        line: value
        for line, value in zip(lines, snapshot.values, strict=True)
        if everything or value or not line.startswith("sentinel_store_faults")
    }


class Peer:
    """A process with the store of ``directory`` installed, that does what it is told.

    It runs ``prelude`` first, which may use the names of `StoreProcess.names`.
    """

    def __init__(self, directory: Path, prelude: str = "", **popen: Any) -> None:
        self.process = subprocess.Popen(
            [*PROGRAM, str(directory), textwrap.dedent(prelude)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **popen,
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def send(self, kind: str, code: str) -> None:
        """Begin to run, or to evaluate, ``code``; `answer` waits for its end."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([kind, textwrap.dedent(code)]) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """Wait for the answer to what was sent."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"process {self.pid} ended with {self.process.wait()}"
        kind, value = json.loads(line)
        assert kind == "ok", value
        return value

    def run(self, code: str) -> None:
        """Run statements there."""
        self.send("run", code)
        self.answer()

    def get(self, code: str) -> Any:
        """Evaluate an expression there."""
        self.send("eval", code)
        return self.answer()

    def scrape(self) -> dict[str, float]:
        """Return what a scrape answered there shows; faults only if there were any."""
        found: dict[str, float] = self.get("scrape()")
        return found

    def left_out(self) -> list[str]:
        """Return what its next scrape leaves out."""
        found: list[str] = self.get("list(store.snapshot().left_out)")
        return found

    def stop(self) -> None:
        """Freeze it."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL it, and wait for its end."""
        self.process.kill()
        self.process.wait()
        self._close()

    def end(self) -> int:
        """Let it end as a Python program ends; return its exit status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        status = self.process.wait(30)
        self._close()
        return status

    def _close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def ready(self) -> Self:
        """Wait until it has run its prelude."""
        self.get("0")
        return self

    def __enter__(self) -> Self:
        return self.ready()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


@contextlib.contextmanager
def peers(directory: Path, count: int, prelude: str = "") -> Iterator[list[Peer]]:
    """Run ``count`` processes on ``directory``, and kill them at the end."""
    started = [Peer(directory, prelude) for _ in range(count)]
    try:
        yield [peer.ready() for peer in started]
    finally:
        for peer in started:
            peer.kill()


def run(directory: Path, code: str) -> Any:
    """Run ``code`` in a process with the store installed; return the JSON it prints last."""
    return _run(directory, textwrap.dedent(code), timeout=60)


def call(directory: Path, program: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of a program in a process with the store installed; return its answer.

    The function is given a `StoreProcess` first. The other arguments and the answer go
    through JSON.
    """
    words = ["--call", program.__module__, program.__name__, *map(json.dumps, arguments)]
    return _run(directory, *words, timeout=100)


def _run(directory: Path, *words: str, timeout: float) -> Any:
    done = subprocess.run(
        [*PROGRAM, str(directory), *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr}"
    lines = done.stdout.splitlines()
    return json.loads(lines[-1]) if lines else None
