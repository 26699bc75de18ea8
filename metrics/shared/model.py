"""What a read of the store gives: families of samples in a fixed order, and their values.

The two are apart because the first changes seldom and the second always: an
encoder prepares its text once a `Layout` and fills in the values of each `Snapshot`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from prometheus_client.samples import Exemplar

Labels = tuple[tuple[str, str], ...]


class SampleKey(NamedTuple):
    """One line without its value: the sample's whole name and its labels in order."""

    name: str
    labels: Labels


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family: ``name`` has no ``_total``; ``type`` is prometheus_client's word.

    ``samples`` are in the order in which they are to be written.
    """

    name: str
    type: str
    help: str
    unit: str
    samples: tuple[SampleKey, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """All families, in the order in which they are to be written.

    Compared by identity: the same object means the same lines, so text prepared
    for it may be used again.
    """

    families: tuple[Family, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The values of one moment, one for each sample of the layout, in its order.

    ``exemplars`` maps positions in ``values`` to exemplars. ``left_out`` says in
    plain words what could not be read; it is empty when nothing is missing.
    """

    layout: Layout
    values: Sequence[float]
    exemplars: Mapping[int, Exemplar] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
