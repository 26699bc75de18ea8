"""The middleware that answers /metrics, in sync and async stacks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.test import AsyncClient, Client
from pytest_django import Settings


def test_the_middleware_comes_before_host_checks(client: Client, settings: Settings) -> None:
    """A scraper that calls the pod by its address is answered; a visitor there is not."""
    settings.ALLOWED_HOSTS = ["example.org"]
    settings.SECURE_SSL_REDIRECT = True
    response = Client().get("/metrics", headers={"host": "10.1.2.3:8000"})
    assert response.status_code == 200
    assert "Set-Cookie" not in response
    assert Client().get("/admin/", headers={"host": "10.1.2.3"}).status_code == 400
    assert Client().get("/admin/", headers={"host": "example.org"}).status_code == 301


@pytest.mark.parametrize("with_middleware", [True, False])
def test_asgi(settings: Settings, with_middleware: bool) -> None:
    """Under ASGI the answer is the same, through the middleware and through the view."""
    if not with_middleware:
        settings.MIDDLEWARE = []

    async def both() -> tuple[Any, Any]:
        client = AsyncClient()
        return await asyncio.gather(client.get("/metrics"), client.get("/no such page"))

    response, other = asyncio.run(both())
    assert response.status_code == 200
    assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"sentinel_build_info{" in response.content
    assert other.status_code == 404
