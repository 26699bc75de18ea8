"""Who may scrape, and what those who may not are told."""

from __future__ import annotations

from django.test import Client
from pytest_django import Settings

from tests.metrics.access.credentials import FORBIDDEN, GRANTED, HASH, UNAUTHORIZED, basic, judge


def test_network_and_token_are_both_needed() -> None:
    """Where both are set, one of them is not enough."""
    setting = {"NETWORKS": ["10.0.0.0/8"], "BEARER": ["t"]}
    assert judge(setting, "Bearer t") is GRANTED
    assert judge(setting, "") is UNAUTHORIZED
    assert judge(setting, "Bearer t", peer="11.0.0.1") is FORBIDDEN


def test_answer_without_credentials(client: Client, settings: Settings) -> None:
    """401 names the schemes and nothing else; with credentials the scrape varies by them."""
    settings.SENTINEL_METRICS_ACCESS = {"BEARER": ["t"], "BASIC": {"prometheus": HASH}}
    response = client.get("/metrics")
    assert (response.status_code, response.content) == (401, b"Unauthorized")
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["WWW-Authenticate"] == (
        'Bearer realm="metrics", Basic realm="metrics", charset="UTF-8"'
    )
    response = client.get("/metrics", headers={"authorization": "Bearer t"})
    assert response.status_code == 200
    assert response["Vary"] == "Accept, Accept-Encoding, Authorization"
    response = client.get("/metrics", headers={"authorization": basic("prometheus", "geheim")})
    assert response.status_code == 200


def test_answer_from_another_network(client: Client, settings: Settings) -> None:
    """403 says no more than that."""
    settings.SENTINEL_METRICS_ACCESS = {"NETWORKS": ["10.0.0.0/8"]}
    response = client.get("/metrics", REMOTE_ADDR="11.0.0.1")
    assert (response.status_code, response.content) == (403, b"Forbidden")
    assert "WWW-Authenticate" not in response
    assert client.get("/metrics", REMOTE_ADDR="10.0.0.1").status_code == 200


def test_a_broken_setting_lets_nobody_in(client: Client, settings: Settings) -> None:
    """With a setting that cannot be used nobody may scrape, and the answer keeps the reason."""
    settings.SENTINEL_METRICS_ACCESS = {"NETWORKS": ["everywhere"]}
    response = client.get("/metrics")
    assert (response.status_code, response.content) == (500, b"The scrape failed")
