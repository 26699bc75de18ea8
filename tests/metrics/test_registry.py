"""The gateway's families: what the original's unit tests ask for, then the mistakes."""

from __future__ import annotations

import math
import threading

import pytest
from django.test import Client, override_settings
from prometheus_client import REGISTRY as DEFAULT_REGISTRY

from metrics.registry import METRICS, REGISTRY, Metrics, Status

FAMILIES = {
    "sentinel_requests_total": "counter",
    "sentinel_request_duration_seconds": "histogram",
    "sentinel_errors_total": "counter",
    "sentinel_backend_healthy": "gauge",
    "sentinel_rate_limit_hits_total": "counter",
}


@pytest.fixture
def metrics() -> Metrics:
    """Return an instance that no other test sees."""
    return Metrics()


def lines(metrics: Metrics) -> list[str]:
    """Return the sample lines of a scrape, without the comments."""
    return [line for line in metrics.gather_text().splitlines() if not line.startswith("#")]


def test_all_families_are_there(metrics: Metrics) -> None:
    """Each of the five families has its help and its type before anything was recorded."""
    text = metrics.gather_text()
    for name, kind in FAMILIES.items():
        assert f"# TYPE {name} {kind}\n" in text
        assert f"# HELP {name} " in text
    assert lines(metrics) == []


def test_a_request_is_counted_and_timed(metrics: Metrics) -> None:
    """A success adds one to its counter and its duration to the histogram, and no error."""
    metrics.record_request("echo", "success", 0.3)
    metrics.record_request("echo", "success", 0.005)
    assert lines(metrics) == [
        'sentinel_requests_total{status="success",tool="echo"} 2.0',
        'sentinel_request_duration_seconds_bucket{le="0.005",tool="echo"} 1.0',
        *(
            f'sentinel_request_duration_seconds_bucket{{le="{le}",tool="echo"}} 1.0'
            for le in ("0.01", "0.025", "0.05", "0.075", "0.1", "0.25")
        ),
        *(
            f'sentinel_request_duration_seconds_bucket{{le="{le}",tool="echo"}} 2.0'
            for le in ("0.5", "0.75", "1.0", "2.5", "5.0", "7.5", "10.0", "+Inf")
        ),
        'sentinel_request_duration_seconds_count{tool="echo"} 2.0',
        'sentinel_request_duration_seconds_sum{tool="echo"} 0.305',
    ]


@pytest.mark.parametrize("status", [status for status in Status if status != "success"])
def test_whatever_is_no_success_is_an_error(metrics: Metrics, status: Status) -> None:
    """A request that did not succeed counts as an error of its status too."""
    metrics.record_request("hash", str(status), 1.0)
    metrics.record_request("hash", status, 1.0)
    assert f'sentinel_requests_total{{status="{status}",tool="hash"}} 2.0' in lines(metrics)
    assert f'sentinel_errors_total{{error_type="{status}",tool="hash"}} 2.0' in lines(metrics)


def test_a_rate_limit_hit_is_counted(metrics: Metrics) -> None:
    """A call that a rate limit turned away counts for its tool."""
    metrics.record_rate_limit_hit("hash")
    assert lines(metrics) == ['sentinel_rate_limit_hits_total{tool="hash"} 1.0']


def test_a_backend_is_shown_healthy_or_not(metrics: Metrics) -> None:
    """The gauge of a backend is 1.0 while it is healthy and 0.0 while it is not."""
    metrics.set_backend_health("db", True)
    assert lines(metrics) == ['sentinel_backend_healthy{backend="db"} 1.0']
    metrics.set_backend_health("db", False)
    assert lines(metrics) == ['sentinel_backend_healthy{backend="db"} 0.0']


def test_metrics_are_served() -> None:
    """GET /metrics answers the figures of METRICS in the text format 0.0.4."""
    METRICS.record_request("served-in-a-test", "success", 0.1)
    response = Client().get("/metrics")
    assert response.status_code == 200
    assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert (
        b'sentinel_requests_total{status="success",tool="served-in-a-test"} 1.0\n'
        in response.content
    )


def test_metrics_that_are_off_are_not_found() -> None:
    """GET /metrics is 404 with a plain sentence while metrics are disabled."""
    with override_settings(SENTINEL_METRICS_ENABLED=False):
        response = Client().get("/metrics")
    assert response.status_code == 404
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response.content == b"Metrics not enabled"


@pytest.mark.parametrize("status", ["", "Success", "ok", "success ", None, 1, ["success"]])
def test_a_wrong_status_is_refused(metrics: Metrics, status: object) -> None:
    """A status that does not exist is a ValueError that lists those that do; nothing counts."""
    expected = (
        "status must be one of success, error, killed, rate_limited, denied, circuit_open,"
        f" invalid_args, not {status!r}"
    )
    with pytest.raises(ValueError, match=r"^status must be one of") as caught:
        metrics.record_request("echo", status, 0.1)  # type: ignore[arg-type]
    assert str(caught.value) == expected
    assert lines(metrics) == []


@pytest.mark.parametrize("seconds", [-0.001, -math.inf, math.inf, math.nan])
def test_an_impossible_duration_is_refused(metrics: Metrics, seconds: float) -> None:
    """A duration that cannot be is a ValueError that names it; nothing counts."""
    with pytest.raises(ValueError, match=f"^duration_secs must be .* not {seconds!r}$"):
        metrics.record_request("echo", "success", seconds)
    assert lines(metrics) == []


def test_instances_are_isolated() -> None:
    """What one instance records shows neither in another nor in the service's own."""
    one, other = Metrics(), Metrics()
    one.record_request("isolated", "success", 0.1)
    assert lines(other) == []
    assert "isolated" not in METRICS.gather_text()


def test_the_registry_is_explicit() -> None:
    """METRICS is on the module's registry and never on prometheus_client's default one."""
    assert METRICS.registry is REGISTRY
    assert REGISTRY is not DEFAULT_REGISTRY
    names = {family.name for family in DEFAULT_REGISTRY.collect()}
    assert not any(name.startswith("sentinel_") for name in names)


def test_threads_lose_nothing(metrics: Metrics) -> None:
    """Requests recorded by many threads at once all count."""

    def work() -> None:
        for _ in range(500):
            metrics.record_request("threaded", "error", 0.2)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 'sentinel_requests_total{status="error",tool="threaded"} 4000.0' in lines(metrics)
    assert 'sentinel_errors_total{error_type="error",tool="threaded"} 4000.0' in lines(metrics)
    assert 'sentinel_request_duration_seconds_count{tool="threaded"} 4000.0' in lines(metrics)
