"""Run the benchmarks and print one table; ``--json FILE`` keeps the figures."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
from pathlib import Path

from benchmarks.case import Case, table

PARTS = tuple(
    sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
)


def main() -> int:
    """Measure what the command line asks for; 0 if every goal was met, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    if unknown := set(options.part) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    cases: list[Case] = []
    for part in options.part or PARTS:
        print(f"measuring {part} ...", file=sys.stderr, flush=True)
        cases += importlib.import_module(f"benchmarks.bench_{part}").run()
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}; medians")
    print(table(cases))
    if options.json is not None:
        options.json.write_text(json.dumps([case.as_json() for case in cases], indent=2) + "\n")
    return 0 if all(case.met is not False for case in cases) else 1


if __name__ == "__main__":
    raise SystemExit(main())
