"""What a read of the store gives: families of samples in a fixed order, and their values.

The two are apart because the first changes seldom and the second always: an
encoder prepares its text once a `Layout` and fills in the values of each `Snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, overload

from prometheus_client.samples import Exemplar

from metrics.system import process_identity

Labels = tuple[tuple[str, str], ...]


class SampleKey(NamedTuple):
    """One line without its value: the sample's whole name and its labels in order."""

    name: str
    labels: Labels


Shape = tuple[tuple[str, Labels], ...]
"""The lines of a series: the suffix of each one's name, and its labels behind the series'."""


@dataclass(frozen=True, slots=True)
class Block:
    """Series whose lines differ in nothing but the values of the series' own labels."""

    shape: Shape
    series: tuple[Labels, ...]


class Samples(Sequence[SampleKey]):
    """Many samples, as the blocks that they make; each is only built if it is asked for.

    An encoder that knows of the blocks need not look at each line of ten thousands.
    """

    __slots__ = ("_keys", "_size", "blocks", "name")

    def __init__(self, name: str, blocks: tuple[Block, ...]) -> None:
        self.name = name
        self.blocks = blocks
        self._size = sum(len(block.shape) * len(block.series) for block in blocks)
        self._keys: tuple[SampleKey, ...] | None = None

    def _all(self) -> tuple[SampleKey, ...]:
        if self._keys is None:
            self._keys = tuple(
                SampleKey(self.name + suffix, labels + more)
                for block in self.blocks
                for labels in block.series
                for suffix, more in block.shape
            )
        return self._keys

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[SampleKey]:
        return iter(self._all())

    @overload
    def __getitem__(self, index: int) -> SampleKey: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[SampleKey]: ...

    def __getitem__(self, index: int | slice) -> SampleKey | Sequence[SampleKey]:
        return self._all()[index]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family: ``name`` has no ``_total``; ``type`` is prometheus_client's word.

    ``samples`` are in the order in which they are to be written.
    """

    name: str
    type: str
    help: str
    unit: str
    samples: Sequence[SampleKey]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """All families, in the order in which they are to be written.

    Compared by identity: the same object means the same lines, so text prepared
    for it may be used again.
    """

    families: tuple[Family, ...]


class Worker(NamedTuple):
    """A process that has, or had, a lane. Times are unix seconds; 0.0 means never."""

    number: int
    pid: int
    """0 once it has ended in order; one that was killed leaves its own."""
    kind: str
    started: float
    alive: bool
    in_progress: int
    oldest_began: float
    last_active: float
    """Infinite while that cannot be seen, as of a file that the kernel sends."""
    capacity: int
    """How many requests it takes at once; 0 where that is not known."""
    pid_namespace: int = 0
    """In which namespace ``pid`` is its id; 0 where there are none."""
    start_ticks: int = 0
    """When the process started, in clock ticks since boot; 0 where that is not known."""

    @property
    def is_in_our_namespace(self) -> bool:
        """Whether ``pid`` means the same to us as to the process itself."""
        return self.pid_namespace == process_identity.pid_namespace()

    @property
    def is_running(self) -> bool:
        """Whether the process with this id is the very one that took the lane.

        False too where that cannot be seen from here.
        """
        if not self.pid or not self.is_in_our_namespace:
            return False
        return not self.start_ticks or self.start_ticks == process_identity.start_ticks(self.pid)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The values of one moment, one for each sample of the layout, in its order.

    ``exemplars`` maps positions in ``values`` to exemplars. ``left_out`` says in
    plain words what could not be read; it is empty when nothing is missing. ``workers``
    are the processes of the lanes that were read.
    """

    layout: Layout
    values: Sequence[float]
    exemplars: Mapping[int, Exemplar] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    workers: tuple[Worker, ...] = ()
