"""What a real Prometheus, promtool and the shared store make of a scrape."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.contrib.auth.hashers import make_password

from metrics.exposition import OPENMETRICS_1_0_0, TEXT_0_0_4, TEXT_1_0_0, Format, template
from metrics.samples import Family, SampleKey
from tests.support.awkward import LABELS, VALUES
from tests.support.harness import ROOT, Prometheus, get, gunicorn, post, require_program, wait_until
from tests.support.parsers import parse_openmetrics

FAMILIES = (
    Family(
        "awkward",
        "gauge",
        'Help with \\ and\nnew lines and "quotes"',
        "",
        tuple(SampleKey("awkward", (("i", str(i)), ("v", v))) for i, v in enumerate(LABELS)),
    ),
    Family(
        "numbers", "gauge", "", "", tuple(SampleKey("numbers", (("i", str(i)),)) for i in range(11))
    ),
)
FORMATS = {"text004": TEXT_0_0_4, "text100": TEXT_1_0_0, "openmetrics": OPENMETRICS_1_0_0}


def body(fmt: Format) -> bytes:
    """Return the awkward families in a format."""
    text = template(FAMILIES, fmt).fill([*map(float, range(len(LABELS))), *VALUES])
    return (text + ("# EOF\n" if fmt.is_openmetrics else "")).encode()


@pytest.fixture
def awkward_server() -> Iterator[int]:
    """Serve the awkward families at a path for each format; return the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fmt = FORMATS[self.path.strip("/")]
            self.send_response(200)
            self.send_header("Content-Type", fmt.content_type)
            self.end_headers()
            self.wfile.write(body(fmt))

        def log_message(self, *args: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def run_prometheus(tmp_path: Path, jobs: list[dict[str, object]]) -> Prometheus:
    """Start a Prometheus with these jobs (JSON is YAML too)."""
    return start_prometheus(tmp_path, f"scrape_configs: {json.dumps(jobs)}\n", "300ms")


def start_prometheus(tmp_path: Path, text: str, interval: str) -> Prometheus:
    """Start a Prometheus whose configuration has this text beside its intervals."""
    program = require_program("prometheus", "prometheus")
    config = tmp_path / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: {interval}, scrape_timeout: {interval}}}\n{text}"
    )
    running = Prometheus(program, config, tmp_path)
    running.wait_ready(running.is_ready, "Prometheus")
    return running


def job(name: str, port: int, **options: object) -> dict[str, object]:
    """Return one scrape configuration."""
    return {
        "job_name": name,
        "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
        **options,
    }


def test_prometheus_reads_back_what_was_written(tmp_path: Path, awkward_server: int) -> None:
    """From each format a real Prometheus reads every label and every value as it was."""
    jobs = [job(name, awkward_server, metrics_path=f"/{name}") for name in FORMATS]
    with run_prometheus(tmp_path, jobs) as prometheus:
        wait_until(lambda: len(prometheus.query("numbers")) == 3 * len(VALUES), "all scraped")
        for name in FORMATS:
            found = {
                labels["i"]: labels.get("v", "")
                for labels, _ in prometheus.query(f'awkward{{job="{name}"}}')
            }
            assert found == {str(i): label for i, label in enumerate(LABELS)}
            values = {
                labels["i"]: value for labels, value in prometheus.query(f'numbers{{job="{name}"}}')
            }
            assert [repr(values[str(i)]) for i in range(11)] == [repr(v) for v in VALUES]


@pytest.mark.parametrize("name", ["text004", "text100"])
def test_promtool_has_nothing_to_say(name: str) -> None:
    """Promtool finds no fault in the awkward families but the missing help."""
    done = subprocess.run(
        [require_program("promtool", "prometheus"), "check", "metrics"],
        input=body(FORMATS[name]),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.stderr.decode().splitlines() == ["numbers no help text"]


def test_promtool_makes_blocks_of_openmetrics(tmp_path: Path) -> None:
    """Promtool's own OpenMetrics parser takes the awkward families, once they have times."""
    made = template(FAMILIES, OPENMETRICS_1_0_0)
    values = [*map(float, range(len(LABELS))), *VALUES]
    timestamps = dict.fromkeys(range(len(values)), 1_700_000_000.0)
    source = tmp_path / "metrics.txt"
    source.write_bytes((made.fill(values, {}, timestamps) + "# EOF\n").encode())
    done = subprocess.run(
        [
            require_program("promtool", "prometheus"),
            *("tsdb", "create-blocks-from", "openmetrics", str(source), str(tmp_path / "data")),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / "data" / "wal").mkdir()  # which dump wants to see
    dumped = subprocess.run(
        [require_program("promtool", "prometheus"), "tsdb", "dump", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert dumped.count("1700000000000\n") == len(values)


def test_several_workers(tmp_path: Path) -> None:
    """One scrape shows all workers' totals, and each of them under process_*, whoever answers."""
    with gunicorn(tmp_path, workers=2) as server:
        for _ in range(30):
            assert post(server.port, "/tools/echo", {"a": 1}).status == 200
        wait_until(
            lambda: b'worker="1"' in get(server.port, "/metrics?name[]=process_threads").body,
            "both workers have begun",
        )
        answer = get(
            server.port,
            "/metrics",
            {"Accept": "application/openmetrics-text", "Connection": "close"},
        )
        assert answer.status == 200
        families = {family.name: family for family in parse_openmetrics(answer.text)}
        assert families["sentinel_build_info"].samples[0].labels["python"]
        for name in ("process_cpu_seconds", "process_resident_memory_bytes", "process_open_fds"):
            labels = [sample.labels for sample in families[name].samples]
            assert len({label["worker"] for label in labels}) == len(labels) >= 2
            assert "gunicorn" in {label["kind"] for label in labels}
        assert all(s.value > 1e6 for s in families["process_resident_memory_bytes"].samples)
        assert "python_gc_objects_collected" not in families
        text = get(server.port, "/metrics?name[]=sentinel_requests_total").text
        assert text == (
            "# HELP sentinel_requests_total Total number of tool requests, by tool and status\n"
            "# TYPE sentinel_requests_total counter\n"
            'sentinel_requests_total{status="success",tool="echo"} 30.0\n'
        )
        part = get(server.port, "/metrics?name[]=sentinel_request_duration_seconds_count").text
        assert part.endswith('\nsentinel_request_duration_seconds_count{tool="echo"} 30.0\n')
        assert part.count("\n") == 3
        checked = subprocess.run(
            [require_program("promtool", "prometheus"), "check", "metrics"],
            input=get(server.port, "/metrics").body,
            capture_output=True,
            check=False,
            timeout=60,
        )
        faults = [
            line for line in checked.stderr.decode().splitlines() if not line.startswith("django_")
        ]
        assert faults == []


def test_too_many_series(tmp_path: Path) -> None:
    """Beyond the limit one series says overflow, and a counter by family how many went there.

    Families of our own, whose series are few, are whole all the same.
    """
    with gunicorn(tmp_path, workers=1, env={"SENTINEL_METRICS_MAX_SERIES": "1"}) as server:
        for tool in ("echo", "hash", "fail", "sleep") * 3:
            post(server.port, f"/tools/{tool}", {"text": "x", "seconds": 0})
        text = get(server.port, "/metrics").text
        assert 'sentinel_requests_total{status="success",tool="echo"} 3.0\n' in text
        assert 'sentinel_requests_total{status="overflow",tool="overflow"} 9.0\n' in text
        for family in ("sentinel_requests_total", "sentinel_request_duration_seconds"):
            assert f'sentinel_series_dropped_total{{family="{family}"}} 3.0\n' in text
        for code in ("200", "400", "401", "403", "405", "500", "503"):
            assert f'sentinel_scrapes_total{{code="{code}"}} 0.0\n' in text
        assert 'sentinel_scrapes_total{code="overflow"}' not in text


def scrape_configs(document: str, token: Path, port: int) -> str:
    """Return the scrape configuration that a document shows, for this file and this port."""
    text = (ROOT / document).read_text()
    [block] = [part for part in text.split("```")[1::2] if part.startswith("yaml\n")]
    assert "/run/secrets/scrape-token" in block
    block = block.removeprefix("yaml\n").replace("/run/secrets/scrape-token", str(token))
    return block.replace("127.0.0.1:9201", f"127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("document", "jobs"),
    [("README.md", ["sentinel"]), ("docs/exposition.md", ["with-token", "with-password"])],
)
def test_prometheus_shows_its_credentials(tmp_path: Path, document: str, jobs: list[str]) -> None:
    """The scrape configurations that the documents show work, and without one there is no way."""
    token = tmp_path / "token"
    token.write_text("from-a-file\n")
    access = {
        "BEARER_FILES": [str(token)],
        "BASIC": {"prometheus": make_password("geheim")},
        "NETWORKS": ["127.0.0.0/8"],
    }
    environment = {"SENTINEL_METRICS_ACCESS": json.dumps(access)}
    with gunicorn(tmp_path, workers=1, env=environment) as server:
        config = scrape_configs(document, token, server.port)
        config += f"  - {json.dumps(job('nobody', server.port))}\n"
        # One worker answers all, and the first look at a password takes it a while.
        with start_prometheus(tmp_path, config, "2s") as prometheus:
            expected = dict.fromkeys(jobs, ("up", ""))
            expected["nobody"] = ("down", "server returned HTTP status 401 Unauthorized")
            wait_until(lambda: _health(prometheus) == expected, "all jobs answered")


def _health(prometheus: Prometheus) -> dict[str, tuple[str, str]]:
    return {t["labels"]["job"]: (t["health"], t["lastError"]) for t in prometheus.targets()}
