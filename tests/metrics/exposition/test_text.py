"""The exact text of each type in each format."""

from __future__ import annotations

import pytest
from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    StateSetMetricFamily,
    SummaryMetricFamily,
    UnknownMetricFamily,
)
from prometheus_client.samples import Exemplar, Timestamp

from metrics.exposition import (
    OPENMETRICS_1_0_0,
    TEXT_0_0_4,
    TEXT_1_0_0,
    Escaping,
    Format,
    convert,
    template,
)
from metrics.samples import Family, SampleKey


def write(*metrics: Metric, fmt: Format = TEXT_0_0_4, **options: object) -> str:
    """Encode metrics, without values that OpenMetrics refuses."""
    found = convert(metrics)
    made = template(found.families, fmt, **options)  # type: ignore[arg-type]
    return made.fill(found.values, found.exemplars, found.timestamps)


def with_sample(metric: Metric, *labels: str, **options: object) -> Metric:
    """Add a sample in the way of the type's own class."""
    metric.add_metric(list(labels), **options)  # type: ignore[attr-defined]
    return metric


COUNTER = with_sample(CounterMetricFamily("jobs", "Jobs", labels=["a"]), "x", value=3, created=9.5)
HISTOGRAM = HistogramMetricFamily("size_bytes", "Sizes", [("1", 2), ("+Inf", 3)], 4.5, unit="bytes")
GAUGE_HISTOGRAM = GaugeHistogramMetricFamily("queue", "Ages", [("1.0", 2), ("+Inf", 3)], 4.5)
SUMMARY = SummaryMetricFamily("wait", "Waits", 2, 0.5)
INFO = InfoMetricFamily("build", "Build", {"v": "1"})
STATE_SET = StateSetMetricFamily("door", "Door", {"open": True, "shut": False})
UNKNOWN = UnknownMetricFamily("what", "What", 1)

TYPES = [
    (
        COUNTER,
        '# HELP jobs_total Jobs\n# TYPE jobs_total counter\njobs_total{a="x"} 3.0\n',
        '# HELP jobs Jobs\n# TYPE jobs counter\njobs_total{a="x"} 3.0\n',
    ),
    (
        GaugeMetricFamily("heat_celsius", "Heat", -3.5, unit="celsius"),
        "# HELP heat_celsius Heat\n# TYPE heat_celsius gauge\nheat_celsius -3.5\n",
        (
            "# HELP heat_celsius Heat\n# TYPE heat_celsius gauge\n# UNIT heat_celsius celsius\n"
            "heat_celsius -3.5\n"
        ),
    ),
    (
        HISTOGRAM,
        (
            "# HELP size_bytes Sizes\n# TYPE size_bytes histogram\n"
            'size_bytes_bucket{le="1.0"} 2.0\nsize_bytes_bucket{le="+Inf"} 3.0\n'
            "size_bytes_count 3.0\nsize_bytes_sum 4.5\n"
        ),
        (
            "# HELP size_bytes Sizes\n# TYPE size_bytes histogram\n# UNIT size_bytes bytes\n"
            'size_bytes_bucket{le="1.0"} 2.0\nsize_bytes_bucket{le="+Inf"} 3.0\n'
            "size_bytes_count 3.0\nsize_bytes_sum 4.5\n"
        ),
    ),
    (
        GAUGE_HISTOGRAM,
        (
            "# HELP queue Ages\n# TYPE queue histogram\n"
            'queue_bucket{le="1.0"} 2.0\nqueue_bucket{le="+Inf"} 3.0\n'
            "# HELP queue_gcount Ages\n# TYPE queue_gcount gauge\nqueue_gcount 3.0\n"
            "# HELP queue_gsum Ages\n# TYPE queue_gsum gauge\nqueue_gsum 4.5\n"
        ),
        (
            "# HELP queue Ages\n# TYPE queue gaugehistogram\n"
            'queue_bucket{le="1.0"} 2.0\nqueue_bucket{le="+Inf"} 3.0\n'
            "queue_gcount 3.0\nqueue_gsum 4.5\n"
        ),
    ),
    (
        SUMMARY,
        "# HELP wait Waits\n# TYPE wait summary\nwait_count 2.0\nwait_sum 0.5\n",
        "# HELP wait Waits\n# TYPE wait summary\nwait_count 2.0\nwait_sum 0.5\n",
    ),
    (
        INFO,
        '# HELP build_info Build\n# TYPE build_info gauge\nbuild_info{v="1"} 1.0\n',
        '# HELP build Build\n# TYPE build info\nbuild_info{v="1"} 1.0\n',
    ),
    (
        STATE_SET,
        '# HELP door Door\n# TYPE door gauge\ndoor{door="open"} 1.0\ndoor{door="shut"} 0.0\n',
        '# HELP door Door\n# TYPE door stateset\ndoor{door="open"} 1.0\ndoor{door="shut"} 0.0\n',
    ),
    (
        UNKNOWN,
        "# HELP what What\n# TYPE what untyped\nwhat 1.0\n",
        "# HELP what What\n# TYPE what unknown\nwhat 1.0\n",
    ),
]


@pytest.mark.parametrize(
    ("metric", "text", "openmetrics"), TYPES, ids=lambda m: getattr(m, "type", "")
)
def test_each_type(metric: Metric, text: str, openmetrics: str) -> None:
    """Each type is written by the rules of each format, without ``_created``."""
    assert write(metric, fmt=TEXT_0_0_4) == text
    assert write(metric, fmt=TEXT_1_0_0) == text
    assert write(metric, fmt=OPENMETRICS_1_0_0) == openmetrics


def test_created_when_asked_for() -> None:
    """``_created`` belongs to its family in OpenMetrics and is a gauge elsewhere."""
    assert write(COUNTER, fmt=OPENMETRICS_1_0_0, created=True) == (
        '# HELP jobs Jobs\n# TYPE jobs counter\njobs_total{a="x"} 3.0\njobs_created{a="x"} 9.5\n'
    )
    assert write(COUNTER, created=True) == (
        '# HELP jobs_total Jobs\n# TYPE jobs_total counter\njobs_total{a="x"} 3.0\n'
        '# HELP jobs_created Jobs\n# TYPE jobs_created gauge\njobs_created{a="x"} 9.5\n'
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1e16, "1e+16"),
        (5e-324, "5e-324"),
        (0.1, "0.1"),
        (True, "1.0"),
        (2**53, "9007199254740992.0"),
        (float("nan"), "NaN"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        ("1.5", "1.5"),
    ],
)
def test_values(value: float, written: str) -> None:
    """A value is spelled so that every parser reads the same float."""
    metric = Metric("a", "", "gauge")
    metric.add_sample("a", {}, value)
    for fmt in (TEXT_0_0_4, OPENMETRICS_1_0_0):
        assert write(metric, fmt=fmt) == f"# TYPE a gauge\na {written}\n"


def test_labels() -> None:
    """Labels are in the order of their names, escaped, and safe to encode."""
    metric = Metric("a", "", "gauge")
    metric.add_sample("a", {"z": 'q"\\\n%s', "b": "\ud800x\u2028", "n": None, "i": 3}, 1)  # type: ignore[dict-item]
    assert write(metric) == (
        '# TYPE a gauge\na{b="\N{REPLACEMENT CHARACTER}x\u2028",i="3",n="",z="q\\"\\\\\\n%s"} 1.0\n'
    )


def test_surrogate_pairs_are_joined() -> None:
    """Two halves of a character that stand together become the character."""
    metric = Metric("a", "", "gauge")
    metric.add_sample("a", {"b": "\ud83d\ude00"}, 1)
    assert write(metric) == '# TYPE a gauge\na{b="\U0001f600"} 1.0\n'


def test_help() -> None:
    """OpenMetrics escapes quotes in a help text, Prometheus' formats do not."""
    metric = GaugeMetricFamily("a", 'say "x" \\ 100%\nor \ud800', 1)
    end = "# TYPE a gauge\na 1.0\n"
    assert write(metric) == f'# HELP a say "x" \\\\ 100%\\nor \ufffd\n{end}'
    assert write(metric, fmt=OPENMETRICS_1_0_0) == (
        f'# HELP a say \\"x\\" \\\\ 100%\\nor \ufffd\n{end}'
    )


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        (
            Escaping.UNDERSCORES,
            (
                "# TYPE http_in_flight_total counter\n"
                'http_in_flight_total{_st="y",a_b="v",exported_a_b="w"} 1.0\n'
            ),
        ),
        (
            Escaping.DOTS,
            (
                "# TYPE http_dot_in__flight__total counter\n"
                'http_dot_in__flight__total{a__b="w",a_dot_b="v",exported___st="y"} 1.0\n'
            ),
        ),
        (
            Escaping.VALUES,
            (
                "# TYPE U__http_2e_in_2d_flight__total counter\n"
                'U__http_2e_in_2d_flight__total{U___31_st="y",U__a_2e_b="v",a_b="w"} 1.0\n'
            ),
        ),
        (
            Escaping.ALLOW_UTF8,
            (
                '# TYPE "http.in-flight_total" counter\n'
                '{"http.in-flight_total","1st"="y","a.b"="v",a_b="w"} 1.0\n'
            ),
        ),
    ],
)
def test_escaping_of_names(scheme: Escaping, expected: str) -> None:
    """Metadata and samples carry the same escaped name, labels likewise, each once."""
    metric = Metric("http.in-flight", "", "counter")
    metric.add_sample("http.in-flight_total", {"a.b": "v", "a_b": "w", "1st": "y"}, 1)
    assert write(metric, fmt=Format("text/plain", "1.0.0", scheme)) == expected


@pytest.mark.parametrize(
    ("scheme", "family"),
    [
        (Escaping.UNDERSCORES, "a_b"),
        (Escaping.DOTS, "a_dot_b"),
        (Escaping.VALUES, "U__a_2e_b"),
    ],
)
def test_escaped_samples_keep_their_family(scheme: Escaping, family: str) -> None:
    """In OpenMetrics an escaped histogram's samples still begin with the family's name."""
    metric = HistogramMetricFamily("a.b", "", [("+Inf", 1)], 2)
    assert write(metric, fmt=Format("application/openmetrics-text", "1.0.0", scheme)) == (
        f'# TYPE {family} histogram\n{family}_bucket{{le="+Inf"}} 1.0\n'
        f"{family}_count 1.0\n{family}_sum 2.0\n"
    )


def test_exemplars_are_for_openmetrics_only() -> None:
    """A counter and a bucket show their exemplar in OpenMetrics; other formats have none."""
    exemplar = Exemplar({"trace_id": 'a"b'}, 0.25, 1.5)
    counter = CounterMetricFamily("jobs", "", 3, exemplar=exemplar)
    histogram = HistogramMetricFamily("d", "", [("1.0", 1, exemplar), ("+Inf", 1)], 1)
    assert write(counter) == "# TYPE jobs_total counter\njobs_total 3.0\n"
    assert write(counter, fmt=OPENMETRICS_1_0_0) == (
        '# TYPE jobs counter\njobs_total 3.0 # {trace_id="a\\"b"} 0.25 1.5\n'
    )
    assert '\nd_bucket{le="1.0"} 1.0 # {trace_id="a\\"b"} 0.25 1.5\n' in write(
        histogram, fmt=OPENMETRICS_1_0_0
    )


@pytest.mark.parametrize("values", [("v", "w"), ("w", "v")])
def test_no_value_decides_which_label_is_renamed(values: tuple[str, str]) -> None:
    """Of labels that escaping gives one name, the same keeps it whatever their values are."""
    dotted, plain = values
    labels = {"a.b": dotted, "a_b": plain}
    metric = CounterMetricFamily("jobs", "")
    metric.add_sample("jobs_total", labels, 1, exemplar=Exemplar(labels, 1))
    written = f'{{a_b="{dotted}",exported_a_b="{plain}"}} 1.0'
    assert write(metric, fmt=OPENMETRICS_1_0_0) == (
        f"# TYPE jobs counter\njobs_total{written} # {written}\n"
    )


def test_an_exemplar_that_is_too_long_is_left_out() -> None:
    """OpenMetrics allows the labels of an exemplar 128 characters."""
    fits = CounterMetricFamily("jobs", "", 3, exemplar=Exemplar({"a": "b" * 127}, 1))
    too_long = CounterMetricFamily("jobs", "", 3, exemplar=Exemplar({"a": "b" * 128}, 1))
    assert " # {" in write(fits, fmt=OPENMETRICS_1_0_0)
    assert " # {" not in write(too_long, fmt=OPENMETRICS_1_0_0)


def test_labels_of_an_exemplar_that_escaping_gives_one_name() -> None:
    """Each label of an exemplar has a name of its own, as those of a sample have."""
    exemplar = Exemplar({"a.b": "v", "a_b": "w", "c": "x"}, 1)
    counter = CounterMetricFamily("jobs", "", 3, exemplar=exemplar)
    assert write(counter, fmt=OPENMETRICS_1_0_0).endswith(
        'jobs_total 3.0 # {a_b="v",exported_a_b="w",c="x"} 1.0\n'
    )
    utf8 = Format("application/openmetrics-text", "1.0.0", Escaping.ALLOW_UTF8)
    assert write(counter, fmt=utf8).endswith('jobs_total 3.0 # {"a.b"="v",a_b="w",c="x"} 1.0\n')


@pytest.mark.parametrize(
    ("scheme", "name", "fits"),
    [
        (Escaping.UNDERSCORES, "a.b", 125),
        (Escaping.ALLOW_UTF8, "a.b", 125),
        (Escaping.ALLOW_UTF8, 'a"b\\', 124),
        (Escaping.DOTS, "a.b", 121),
        (Escaping.VALUES, "a.b", 119),
        (Escaping.UNDERSCORES, "__a", 116),
    ],
)
def test_the_names_of_an_exemplar_count_as_they_are_read(
    scheme: Escaping, name: str, fits: int
) -> None:
    """The limit of 128 characters holds for the escaped name, which is what a parser sees."""
    fmt = Format("application/openmetrics-text", "1.0.0", scheme)
    for length in (fits, fits + 1):
        exemplar = Exemplar({name: '"' * length}, 1)
        text = write(CounterMetricFamily("jobs", "", 3, exemplar=exemplar), fmt=fmt)
        assert (" # {" in text) is (length == fits)


def test_timestamps() -> None:
    """Timestamps are milliseconds in Prometheus' formats and seconds in OpenMetrics."""
    metric = Metric("a", "", "gauge")
    metric.add_sample("a", {"b": "1"}, 1, 12.5)
    metric.add_sample("a", {"b": "2"}, 1, Timestamp(12, 5_000_000))
    metric.add_sample("a", {"b": "3"}, 1, float("nan"))
    assert write(metric) == (
        '# TYPE a gauge\na{b="1"} 1.0 12500\na{b="2"} 1.0 12005\na{b="3"} 1.0\n'
    )
    assert write(metric, fmt=OPENMETRICS_1_0_0) == (
        '# TYPE a gauge\na{b="1"} 1.0 12.5\na{b="2"} 1.0 12.005000000\na{b="3"} 1.0\n'
    )


def test_a_series_that_comes_twice_is_written_once() -> None:
    """Of a series that comes twice, in whatever order of labels, the first is kept."""
    metric = Metric("a", "", "gauge")
    metric.add_sample("a", {"b": "1", "c": "2"}, 1)
    metric.add_sample("a", {"c": "2", "b": "1"}, 5)
    again = Metric("a", "other help", "gauge")
    again.add_sample("a", {"b": "1", "c": "2"}, 6)
    again.add_sample("a", {}, 7)
    found = convert([metric, again])
    made = template(found.families, TEXT_0_0_4)
    assert made.fill(found.values) == '# TYPE a gauge\na{b="1",c="2"} 1.0\na 7.0\n'
    assert made.left_out == ('series a{b="1",c="2"}: it comes twice',) * 2


def test_families_that_want_one_name() -> None:
    """A family whose name is taken keeps its samples if their names are free."""
    gauge, counter = GaugeMetricFamily("a", "", 1), CounterMetricFamily("a", "", 2)
    assert write(gauge, counter) == "# TYPE a gauge\na 1.0\n# TYPE a_total counter\na_total 2.0\n"
    assert write(gauge, counter, fmt=OPENMETRICS_1_0_0) == (
        "# TYPE a gauge\na 1.0\n# TYPE a_total unknown\na_total 2.0\n"
    )
    found = convert([gauge, UnknownMetricFamily("a", "", 3)])
    made = template(found.families, TEXT_0_0_4)
    assert made.fill(found.values) == "# TYPE a gauge\na 1.0\n"
    assert made.left_out == ("family 'a': its name is taken by another one",)


def test_values_that_openmetrics_refuses() -> None:
    """A NaN or negative counter loses its type in OpenMetrics, and nothing else."""
    families = [
        Family("a", "counter", "", "", (SampleKey("a_total", ()),)),
        Family("b", "counter", "", "", (SampleKey("b_total", ()),)),
    ]
    values = [float("nan"), 2.0]
    first = template(families, OPENMETRICS_1_0_0)
    assert first.unfit(values) == {0}
    assert template(families, OPENMETRICS_1_0_0, untyped={0}).fill(values) == (
        "# TYPE a_total unknown\na_total NaN\n# TYPE b counter\nb_total 2.0\n"
    )
    assert template(families, TEXT_0_0_4).unfit(values) == frozenset()


NAMES = [
    (["jobs"], ["jobs_total"]),
    (["jobs_total"], ["jobs_total"]),
    (["wait"], ["wait_count", "wait_sum"]),
    (["wait_sum"], ["wait_sum"]),
    (["size_bytes_bucket"], ["size_bytes_bucket"] * 2),
    (["size_bytes_sum"], ["size_bytes_sum"]),
    (["build"], ["build_info"]),
    (["jobs", "build_info"], ["jobs_total", "build_info"]),
    (["nothing"], []),
]


@pytest.mark.parametrize(("names", "samples"), NAMES)
@pytest.mark.parametrize("fmt", [TEXT_0_0_4, OPENMETRICS_1_0_0])
def test_filter_by_name(names: list[str], samples: list[str], fmt: Format) -> None:
    """A name keeps the family or the samples that bear it, with their metadata."""
    text = write(COUNTER, SUMMARY, HISTOGRAM, INFO, fmt=fmt, names=names)
    lines = text.splitlines()
    assert [line.partition("{")[0].split()[0] for line in lines if line[0] != "#"] == samples
    assert sum(line.startswith("# TYPE") for line in lines) == (len(names) if samples else 0)
    assert sum(line.startswith("# HELP") for line in lines) == (len(names) if samples else 0)


def test_filter_by_family_keeps_what_a_format_writes_apart() -> None:
    """Samples that a format makes families of their own are kept by their family's name."""
    text = write(GAUGE_HISTOGRAM, COUNTER, names=["queue"])
    assert [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")] == [
        "queue",
        "queue_gcount",
        "queue_gsum",
    ]
    assert "jobs_created" in write(COUNTER, names=["jobs"], created=True)
    assert "jobs_total" not in write(COUNTER, names=["jobs_created"], created=True)
    untyped = write(SUMMARY, fmt=OPENMETRICS_1_0_0, names=["wait"], untyped={0})
    assert untyped.count("# TYPE") == 2


def test_filter_by_the_name_a_client_sees() -> None:
    """A client that gets escaped names may ask by them."""
    metric = GaugeMetricFamily("a.b", "", 1)
    assert (
        write(metric, names=["a_b"])
        == write(metric, names=["a.b"])
        == "# TYPE a_b gauge\na_b 1.0\n"
    )


def test_samples_of_one_label_set_stand_together() -> None:
    """A collector's samples are sorted by label set, its buckets by bound."""
    metric = Metric("d", "", "histogram")
    for suffix, labels, value in [
        ("_sum", {"a": "1"}, 1),
        ("_bucket", {"a": "2", "le": "+Inf"}, 2),
        ("_bucket", {"a": "1", "le": "+Inf"}, 1),
        ("_bucket", {"a": "1", "le": "5e-1"}, 0),
        ("_count", {"a": "1"}, 1),
    ]:
        metric.add_sample(f"d{suffix}", labels, value)
    assert write(metric) == (
        "# TYPE d histogram\n"
        'd_bucket{a="1",le="0.5"} 0.0\nd_bucket{a="1",le="+Inf"} 1.0\n'
        'd_sum{a="1"} 1.0\nd_count{a="1"} 1.0\n'
        'd_bucket{a="2",le="+Inf"} 2.0\n'
    )


def test_what_is_no_metric_is_left_out() -> None:
    """A collector that yields something else, or odd exemplars, loses that and nothing more."""
    metric = CounterMetricFamily("jobs", "", labels=["n"])
    metric.add_metric(["1"], 1, exemplar=Exemplar({"a": 1, "b": None}, 2))  # type: ignore[dict-item]
    metric.add_metric(["2"], 1, exemplar={"a": "b"})  # type: ignore[arg-type]
    metric.add_metric(["3"], 1, exemplar=Exemplar({"a": "b"}, "much"))  # type: ignore[arg-type]
    metric.samples.append("no sample")  # type: ignore[arg-type]
    found = convert([None, metric, "jobs"])  # type: ignore[list-item]
    made = template(found.families, OPENMETRICS_1_0_0)
    assert made.fill(found.values, found.exemplars) == (
        "# TYPE jobs counter\n"
        'jobs_total{n="1"} 1.0 # {a="1",b=""} 2.0\njobs_total{n="2"} 1.0\njobs_total{n="3"} 1.0\n'
    )
    assert found.left_out == [
        "something that is no metric: a NoneType",
        "a sample of family 'jobs': its value or labels are unusable",
        "something that is no metric: a str",
    ]
