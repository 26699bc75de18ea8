"""What a scrape gets: negotiation and encoding. Knows HTTP headers, and no Django."""

from metrics.exposition._convert import Converted, convert
from metrics.exposition._negotiation import (
    OPENMETRICS_1_0_0,
    TEXT_0_0_4,
    TEXT_1_0_0,
    Escaping,
    Format,
    accepts_gzip,
    negotiate,
)
from metrics.exposition._numbers import spell
from metrics.exposition._template import Template, template

__all__ = [
    "OPENMETRICS_1_0_0",
    "TEXT_0_0_4",
    "TEXT_1_0_0",
    "Converted",
    "Escaping",
    "Format",
    "Template",
    "accepts_gzip",
    "convert",
    "negotiate",
    "spell",
    "template",
]
