"""What is measured of views of Django REST framework and of django-ninja."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path
from ninja import NinjaAPI
from rest_framework.decorators import api_view, throttle_classes
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import DefaultRouter
from rest_framework.throttling import AnonRateThrottle
from rest_framework.viewsets import ViewSet

from metrics.instrument import tool
from tests.metrics.instrument.figures import Figures

pytestmark = pytest.mark.django_db
REQUESTS = "http_server_request_duration_seconds_count"


class Items(ViewSet):
    """Items by number."""

    authentication_classes = ()
    permission_classes = ()

    def list(self, request: Request) -> Response:
        """Answer."""
        return Response([])

    @tool("retrieve")
    def retrieve(self, request: Request, pk: str) -> Response:
        """Answer as the number says."""
        match pk:
            case "1":
                return Response({})
            case "2":
                raise NotFound
            case "3":
                raise ValidationError("no")
        raise LookupError(pk)


class OnceADay(AnonRateThrottle):
    """Let one request pass."""

    rate = "1/day"


@tool("limited")
@api_view(["GET"])
@throttle_classes([OnceADay])
def limited(request: Request) -> Response:
    """Answer once."""
    return Response({})


api = NinjaAPI(urls_namespace="measured")


@api.get("/things/{number}")
@tool("thing")
def thing(request: HttpRequest, number: int) -> dict[str, int]:
    """Answer, or refuse."""
    if number < 0:
        raise PermissionDenied
    return {"number": number}


@api.get("/async-things/{number}")
@tool("async-thing")
async def async_thing(request: HttpRequest, number: int) -> dict[str, int]:
    """Answer."""
    return {"number": number}


router = DefaultRouter()
router.register("items", Items, basename="item")
urlpatterns = [
    path("rest/", include(router.urls)),
    path("limited", limited),
    path("ninja/", api.urls),
]

SETTINGS = override_settings(
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["metrics.middleware.MetricsMiddleware"],
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
)


def tools() -> Figures:
    """Return the tool calls that are counted from now on."""
    return Figures("sentinel_requests_total")


def by_route(counted: Figures) -> dict[tuple[str, str], float]:
    """Return the requests by route and status."""
    return {
        (row["http_route"], row["http_response_status_code"]): row["n"] for row in counted.new()
    }


def by_status(counted: Figures) -> dict[tuple[str, str], float]:
    """Return the tool calls by tool and status."""
    return {(row["tool"], row["status"]): row["n"] for row in counted.new()}


@SETTINGS
def test_rest_framework() -> None:
    """Routes are the router's, exceptions are what the framework makes of them."""
    requests, calls = Figures(REQUESTS), tools()
    client = Client(raise_request_exception=False)
    for pk in ("1", "1", "2", "3", "4"):
        client.get(f"/rest/items/{pk}/")
    client.get("/rest/items/")
    statuses = [client.get("/limited").status_code for _ in range(3)]
    assert statuses == [200, 429, 429]
    item = r"rest/items/(?P<pk>[^/.]+)/$"
    assert by_route(requests) == {
        (item, "200"): 2,
        (item, "404"): 1,
        (item, "400"): 1,
        (item, "500"): 1,
        (r"rest/items/$", "200"): 1,
        ("limited", "200"): 1,
        ("limited", "429"): 2,
    }
    assert by_status(calls) == {
        ("retrieve", "success"): 2,
        ("retrieve", "error"): 2,
        ("retrieve", "invalid_args"): 1,
        ("limited", "success"): 1,
        ("limited", "rate_limited"): 2,
    }
    assert [row["error_type"] for row in requests.new() if "error_type" in row] == ["LookupError"]


@SETTINGS
def test_ninja() -> None:
    """Functions keep the signature by which it reads a request."""
    requests, calls = Figures(REQUESTS), tools()
    client: Any = Client(raise_request_exception=False)
    assert client.get("/ninja/things/7").json() == {"number": 7}
    assert client.get("/ninja/things/seven").status_code == 422
    assert client.get("/ninja/things/-1").status_code in (403, 500)
    route = "ninja/things/<number>"
    counted = by_route(requests)
    assert {key: n for key, n in counted.items() if key[1] in ("200", "422")} == {
        (route, "200"): 1,
        (route, "422"): 1,
    }
    assert by_status(calls) == {("thing", "success"): 1, ("thing", "denied"): 1}


@SETTINGS
def test_ninja_in_an_event_loop() -> None:
    """A coroutine stays one."""
    requests, calls = Figures(REQUESTS), tools()
    answer = asyncio.run(_get("/ninja/async-things/7"))
    assert answer.json() == {"number": 7}
    assert by_route(requests) == {("ninja/async-things/<number>", "200"): 1}
    assert by_status(calls) == {("async-thing", "success"): 1}


async def _get(path: str) -> Any:
    return await AsyncClient().get(path)
