"""Where a project serves the endpoints of both apps: their URL patterns, and checks of them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, URLPattern, get_resolver, path
from django.urls.resolvers import URLResolver

from metrics.conf import conf
from metrics.paths import DEFAULTS, SETTING, spellings

View = Callable[[HttpRequest], HttpResponse]


class Finding(NamedTuple):
    """What a system check has to say."""

    message: str
    hint: str


def patterns(name: str, view: View, *, whole: bool = False) -> list[URLPattern]:
    """Return the patterns of an endpoint, at its paths of SENTINEL_PATHS.

    Where a project includes them says how the path begins, so they have the last part of
    each path only; with ``whole`` they have all of it. The first is named ``name``. A wrong
    setting is raised when a request comes, so that ``manage.py check`` can tell of it.
    """
    try:
        paths = conf.paths[name]
    except ImproperlyConfigured as e:
        paths, view = DEFAULTS[name], functools.partial(_fail, e)
    routes = [p.lstrip("/") if whole else p.rpartition("/")[2] for p in paths]
    first, *others = spellings(dict.fromkeys(routes))
    return [path(first, view, name=name), *(path(route, view) for route in others)]


def _fail(error: ImproperlyConfigured, request: HttpRequest) -> HttpResponse:
    raise error


def uses_urls(*views: View) -> bool:
    """Whether one of the views is in the project's URLs, if it has any."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return False
    return any(True for view in views for _ in _served(view))


def misplaced(name: str, view: View, *, middleware: str) -> list[Finding]:
    """Return where the project's URLs and SENTINEL_PATHS disagree about an endpoint.

    With the middleware in MIDDLEWARE: paths of the URLs that it does not answer, so that
    host checks and redirects come first there. Without: paths that nothing answers.
    """
    configured = conf.paths[name]
    if middleware in settings.MIDDLEWARE:
        stray = [p for p in _served(view) if p not in configured]
        return [
            Finding(
                f"the URLs serve {p}, which {middleware} does not answer: it answers"
                f" {', '.join(configured)}",
                f"Add {p!r} to {SETTING}[{name!r}], or take it out of the URLs.",
            )
            for p in dict.fromkeys(stray)
        ]
    return [
        Finding(
            f"{p} is not answered by {view.__module__}.{view.__qualname__}, but by {answer}",
            f"Put {middleware!r} first in MIDDLEWARE, or say in {SETTING}[{name!r}] where the"
            " URLs serve it.",
        )
        for p in configured
        if (answer := _other_answer(p, view)) is not None
    ]


def obstacles(middleware: str, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each setting that may keep a request of ``paths`` from its answer, and whose it is.

    What stands behind ``middleware`` in MIDDLEWARE, which answers first, keeps nothing.
    """
    order: Sequence[str] = list(settings.MIDDLEWARE)
    ahead = order[: order.index(middleware)] if middleware in order else order
    common = "django.middleware.common.CommonMiddleware"
    security = "django.middleware.security.SecurityMiddleware"
    cache = "django.middleware.cache.FetchFromCacheMiddleware"
    if common in ahead and "*" not in settings.ALLOWED_HOSTS and not settings.DEBUG:
        yield "ALLOWED_HOSTS", common
    if common in ahead and settings.PREPEND_WWW:
        yield "PREPEND_WWW", common
    exempt = [re.compile(pattern) for pattern in settings.SECURE_REDIRECT_EXEMPT]
    redirected = any(not any(e.search(p.lstrip("/")) for e in exempt) for p in paths)
    if security in ahead and settings.SECURE_SSL_REDIRECT and redirected:
        yield "SECURE_SSL_REDIRECT", security
    if cache in ahead:
        yield "CACHE_MIDDLEWARE_ALIAS", cache


def _other_answer(path_info: str, view: View) -> str | None:
    """Return what answers a path instead of ``view``; None where the view does."""
    try:
        found: Any = get_resolver().resolve(path_info).func
    except Resolver404:
        return "404"
    return None if found is view else f"{found.__module__}.{found.__qualname__}"


def _served(view: View) -> Iterator[str]:
    """Yield the paths at which the project's URLs serve ``view``, without a trailing slash.

    Those below a part that varies are left out.
    """
    for route in _routes(get_resolver().url_patterns, view):
        if not set(route) & set("<([\\*+?"):
            yield "/" + route.strip("/")


def _routes(entries: Sequence[URLPattern | URLResolver], view: View) -> Iterator[str]:
    for entry in entries:
        part = str(entry.pattern).removeprefix("^").removesuffix("$")
        if isinstance(entry, URLResolver):
            yield from (part + rest for rest in _routes(entry.url_patterns, view))
        elif entry.callback is view:
            yield part
