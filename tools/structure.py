"""Print the structure of the apps: what lies in each folder, and which imports which.

``python -m tools.structure`` (or ``make structure``) counts, for each folder, its rooms
(the modules and folders that lie in it), the imports between two of them, how many levels
these make, and the circles. An import inside a function counts as any other.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import grimp

APPS = ("metrics", "health", "sentinel_project")

Arrows = Mapping[str, set[str]]
"""Which rooms each room imports from."""


@dataclass(frozen=True)
class Folder:
    """One folder: its rooms, and the imports between them."""

    name: str
    arrows: Arrows

    @property
    def circles(self) -> list[list[str]]:
        """Return the groups of rooms that import each other, in a row or directly."""
        return [sorted(group) for group in _groups(self.arrows) if len(group) > 1]

    @property
    def levels(self) -> int:
        """Return the length of the longest row of imports, a circle being one level."""
        group_of = {room: i for i, group in enumerate(_groups(self.arrows)) for room in group}
        depth: dict[int, int] = {}
        for i, group in enumerate(_groups(self.arrows)):  # what is imported comes first
            below = {group_of[other] for room in group for other in self.arrows[room]} - {i}
            depth[i] = 1 + max((depth[other] for other in below), default=0)
        return max(depth.values(), default=0)

    def row(self) -> str:
        """Return the folder's line of the table."""
        count = sum(map(len, self.arrows.values()))
        circles = "; ".join(" - ".join(circle) for circle in self.circles) or "none"
        return f"{self.name:<28}{len(self.arrows):>7}{self.levels:>8}{count:>8}  {circles}"


def folders(graph: grimp.ImportGraph) -> Iterator[Folder]:
    """Yield every folder of the graph that has more than one room, outermost first."""
    for name in sorted(graph.modules):
        rooms = sorted(graph.find_children(name))
        if len(rooms) < 2:
            continue
        within = {room: {room, *graph.find_descendants(room)} for room in rooms}
        home = {module: room for room, modules in within.items() for module in modules}
        arrows: dict[str, set[str]] = {room.rpartition(".")[2]: set() for room in rooms}
        for module, room in home.items():
            for imported in graph.find_modules_directly_imported_by(module):
                other = home.get(imported, room)
                if other != room:
                    arrows[room.rpartition(".")[2]].add(other.rpartition(".")[2])
        yield Folder(name.replace(".", "/") + "/", arrows)


def _groups(arrows: Arrows) -> list[list[str]]:
    """Return the strongly connected groups, each after those that it imports (Tarjan's)."""
    found: list[list[str]] = []
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(room: str) -> None:
        index[room] = low[room] = len(index)
        stack.append(room)
        for other in sorted(arrows[room]):
            if other not in index:
                visit(other)
                low[room] = min(low[room], low[other])
            elif other in stack:
                low[room] = min(low[room], index[other])
        if low[room] == index[room]:
            cut = stack.index(room)
            found.append(stack[cut:])
            del stack[cut:]

    for room in sorted(arrows):
        if room not in index:
            visit(room)
    return found


def main() -> int:
    """Print the table; the exit status is 1 if there is a circle."""
    parser = argparse.ArgumentParser(prog="python -m tools.structure", description=__doc__)
    parser.parse_args()
    print(f"{'folder':<28}{'rooms':>7}{'levels':>8}{'arrows':>8}  circles")
    circular = False
    for app in APPS:
        for folder in folders(grimp.build_graph(app, cache_dir=None)):
            print(folder.row())
            circular = circular or bool(folder.circles)
    return int(circular)


if __name__ == "__main__":
    sys.exit(main())
