"""The parsers of prometheus_client, which have no annotations."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import Metric, parser
from prometheus_client.openmetrics import parser as openmetrics

parse_text: Callable[[str], Iterable[Metric]] = parser.text_string_to_metric_families
parse_openmetrics: Callable[[str], Iterable[Metric]] = openmetrics.text_string_to_metric_families
