"""The store under a whole Django process: what was made too early, what is not shared."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from tests.harness import run_python


def run(tmp_path: Path, code: str) -> Any:
    """Run a program of the project to its end; return the JSON that it prints last."""
    done = run_python(tmp_path, textwrap.dedent(code))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_metrics_made_before_the_store_are_named_by_the_system_check(tmp_path: Path) -> None:
    """Of each type that keeps values, and no other; a family is named once."""
    found = run(
        tmp_path,
        """
        import django, json
        from django.core import checks
        from prometheus_client import Counter, Enum, Gauge, Histogram, Info, Summary
        early = [
            Counter("t_counter", "Early"),
            Gauge("t_gauge", "Early"),
            Histogram("t_histogram", "Early"),
            Summary("t_summary", "Early"),
            labelled := Counter("t_labelled", "Early", ["l"]),
            later := Counter("t_later", "Early, but its series are not", ["l"]),
            Info("t_info", "Not shared"),
            Enum("t_enum", "Not shared", states=["a", "b"]),
        ]
        labelled.labels("a"), labelled.labels("b")
        django.setup()
        later.labels("a")
        late = Counter("t_late", "In time")
        print(json.dumps([m.msg for m in checks.run_checks() if m.id == "sentinel_metrics.W001"]))
        """,
    )
    names = "t_counter, t_gauge, t_histogram, t_labelled, t_summary"
    (message,) = found
    assert message == (
        f"Made before the shared store was installed: {names}. Each process counts these for"
        " itself, and a scrape shows those of one process."
    )


def test_what_has_no_shared_values_is_the_answering_process_own(tmp_path: Path) -> None:
    """Info, Enum and custom collectors come once, from whoever answers, beside all counts."""
    code = """
    import django, json, sys
    django.setup()
    from prometheus_client import REGISTRY, Counter, Enum, Info
    from prometheus_client.core import GaugeMetricFamily
    from metrics import scrape
    class Custom:
        def collect(self):
            yield GaugeMetricFamily("t_custom", "Custom", value=NUMBER)
    REGISTRY.register(Custom())
    Counter("t_jobs", "Jobs").inc(NUMBER)
    Info("t_about", "About").info({"process": "NUMBER"})
    Enum("t_state", "State", states=["one", "two"]).state(["one", "two"][NUMBER - 1])
    lines = scrape.render().text.splitlines()
    print(json.dumps([line for line in lines if line.startswith("t_")]))
    """
    for number, jobs in ((1, 1.0), (2, 3.0)):  # the second answers when the first is gone
        assert sorted(run(tmp_path, code.replace("NUMBER", str(number)))) == [
            f't_about_info{{process="{number}"}} 1.0',
            f"t_custom {number}.0",
            f"t_jobs_total {jobs}",
            f't_state{{t_state="one"}} {2.0 - number}',
            f't_state{{t_state="two"}} {number - 1.0}',
        ]
