"""Measures what a service renders by the engines of TEMPLATES: Django's, and Jinja2.

OpenTelemetry has no conventions for templates. The label ``engine`` is the engine's NAME,
``template`` the name under which the template was asked for.
"""

from __future__ import annotations

from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any

from django.template.backends import django as django_backend

from metrics.instrument.bounds import OTHER, FirstOnes
from metrics.instrument.durations import Observe, error_type, observer, seconds_histogram
from metrics.instrument.outermost import Method, measure, outermost

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
NAME = "django_template_render_duration_seconds"
DURATION = seconds_histogram(
    NAME,
    "Duration of rendering a template with all that it includes in seconds",
    ["engine", "template", "error_type"],
    BUCKETS,
)
MOST_NAMES = 500

_inside: ContextVar[bool] = ContextVar("sentinel_inside_template", default=False)
_name = FirstOnes(MOST_NAMES)
_observers: dict[tuple[str, str], Observe] = {}


def install() -> None:
    """Measure the templates of this process, those that are loaded already included."""
    measure(django_backend.Template, ("render",), _measured)
    if find_spec("jinja2") is not None:
        from django.template.backends import jinja2 as jinja2_backend

        measure(jinja2_backend.Template, ("render",), _measured)


def _measured(method: Method, name: str) -> Method:
    return outermost(method, _inside, _note)


def _note(template: Any, seconds: float, result: Any, error: BaseException | None) -> None:
    engine = template.backend.name
    asked_for = _name_of(template.template)
    try:
        observe = _observers[engine, asked_for] if error is None else None
    except KeyError:
        observe = None
    if observe is None:
        label = _name(asked_for) if asked_for else ""
        observe = observer(DURATION, engine, label, "" if error is None else error_type(error))
        if error is None and label != OTHER:
            _observers[engine, asked_for] = observe
    observe(seconds)


def _name_of(template: Any) -> str:
    """Return a template's name, with that of the file it is a part of, or "" for a string."""
    name = template.name or ""
    origin = getattr(template, "origin", None)
    file = getattr(origin, "template_name", None)
    return f"{file}#{name}" if name and file and file != name else name
