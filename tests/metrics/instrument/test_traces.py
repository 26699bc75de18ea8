"""Exemplars: the trace that a request belongs to."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import pytest
from django.http import StreamingHttpResponse
from django.test import Client, RequestFactory, override_settings

from metrics.instrument import traces
from metrics.middleware import MetricsMiddleware
from metrics.registries import REGISTRY
from tests.metrics.instrument import site

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
IDS = {"trace_id": TRACE, "span_id": SPAN}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"00-{TRACE}-{SPAN}-01", IDS),
        (f"00-{TRACE}-{SPAN}-03", IDS),
        (f"00-{TRACE}-{SPAN}-00", None),  # not sampled
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", IDS),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        ("", None),
        ("00-x", None),
        (f"00-{TRACE}-{SPAN}-01\n", None),
    ],
)
def test_traceparent(header: str, expected: dict[str, str] | None) -> None:
    """As W3C's Trace Context has it; a trace that is not sampled is nowhere to be seen."""
    assert traces.of_header(header) == expected


def test_a_span_of_opentelemetry_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is loaded and records; else the header tells."""
    context = SimpleNamespace(is_valid=True, trace_flags=1, trace_id=0xAB, span_id=0xCD)
    span = SimpleNamespace(get_span_context=lambda: context)
    module = SimpleNamespace(get_current_span=lambda: span)
    monkeypatch.setitem(sys.modules, traces.OPENTELEMETRY, module)
    request = RequestFactory().get("/", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    assert traces.of_request(request) == {"trace_id": f"{0xAB:032x}", "span_id": f"{0xCD:016x}"}
    context.trace_flags = 0
    assert traces.of_request(request) == IDS


@override_settings(ROOT_URLCONF=site.__name__, MIDDLEWARE=["metrics.middleware.MetricsMiddleware"])
def test_a_traced_request_leaves_an_exemplar() -> None:
    """At the bucket that it fell into."""
    Client().get("/items/5/", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    found: list[Any] = [
        sample.exemplar
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.exemplar and sample.labels.get("http_route") == "items/<int:number>/"
    ]
    assert [exemplar.labels for exemplar in found] == [IDS]
    assert 0 < found[0].value < 5


@pytest.mark.django_db  # a response that is closed closes what is old of these
def test_a_stream_that_ends_in_another_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to the trace that was active when the view answered."""
    active: ContextVar[int] = ContextVar("active")

    def context() -> Any:
        return SimpleNamespace(is_valid=True, trace_flags=1, trace_id=active.get(), span_id=1)

    module = SimpleNamespace(get_current_span=lambda: SimpleNamespace(get_span_context=context))
    monkeypatch.setitem(sys.modules, traces.OPENTELEMETRY, module)
    active.set(0xABC)
    view = MetricsMiddleware(lambda request: StreamingHttpResponse(status=298))
    answer: Any = view(RequestFactory().get("/"))
    active.set(0xDEF)
    answer.close()
    found = [
        sample.exemplar.labels["trace_id"]
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.exemplar and sample.labels.get("http_response_status_code") == "298"
    ]
    assert found == [f"{0xABC:032x}"]
