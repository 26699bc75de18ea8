"""The trace that a request belongs to, for exemplars.

From OpenTelemetry where a span of it is recorded, else from the header ``traceparent`` as
W3C's Trace Context says, if its sender sampled the trace: another one is nowhere to be seen.
"""

from __future__ import annotations

import re
import sys

from django.http import HttpRequest

HEADER = "HTTP_TRACEPARENT"
OPENTELEMETRY = "opentelemetry.trace"
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1


def of_header(header: str) -> dict[str, str] | None:
    """Return the exemplar's labels that a ``traceparent`` gives; None if it gives none."""
    if (found := _TRACEPARENT.fullmatch(header)) is None or header.startswith("ff"):
        return None
    trace, span, flags, more = found.groups()
    if (more and header.startswith("00")) or not int(flags, 16) & _SAMPLED:
        return None
    if not trace.strip("0") or not span.strip("0"):
        return None
    return {"trace_id": trace, "span_id": span}


def of_request(request: HttpRequest) -> dict[str, str] | None:
    """Return the exemplar's labels for a request; None where no trace of it is recorded."""
    if (otel := sys.modules.get(OPENTELEMETRY)) is not None:
        context = otel.get_current_span().get_span_context()
        if context.is_valid and context.trace_flags & _SAMPLED:
            return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    header = request.META.get(HEADER)
    return of_header(header) if header else None
