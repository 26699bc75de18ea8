"""A script whose children count too: ``python children.py DIRECTORY WAY``.

It prints a scrape at its end. What stands before `main` runs again in each child that
imports the script.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from typing import Any

from tests.support.store_process import StoreProcess

process = StoreProcess(sys.argv[1])

from metrics.registry import METRICS  # noqa: E402 - its families are made in the store

c = process.counter("c", ["l"])
c.labels("a").inc()


def work() -> None:
    """Count once."""
    c.labels("a").inc()
    c.labels("b").inc()
    METRICS.record_request("t", "error", 0.5)


def main(way: str) -> None:
    """Start three children in the way that is named, and print a scrape when they have ended."""
    METRICS.record_request("t", "error", 0.5)
    if way == "os.fork()":
        for _ in range(3):
            if not (pid := os.fork()):
                work()
                os._exit(0)
            os.waitpid(pid, 0)
    elif way == "exec":
        for _ in range(3):
            subprocess.run([sys.executable, __file__, process.directory, "child"], check=True)
    else:
        context: Any = multiprocessing.get_context(way)
        children = [context.Process(target=work) for _ in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
            assert child.exitcode == 0
    print(json.dumps(process.scrape()))


if sys.argv[2:] == ["child"]:
    work()
elif __name__ == "__main__":
    main(sys.argv[2])
