"""Recorded sums: the counters that they add up, and when a dashboard reads them; by promtool."""

from pathlib import Path

import pytest
from tests.alerting_rules import (
    Case,
    Expectation,
    Series,
    Span,
    calls,
    complaints,
    counter,
    durations,
    every_minute,
    first_chunks,
    gauge,
    recorded,
    restarted,
    shows,
    unscraped,
)
from tests.dashboards.grafana_queries import ALL, Choice, Window, substituted

from grafana import sources
from grafana.sources import SERIES, Source, choice
from spanmeter_gateway.alerting import series
from spanmeter_gateway.alerting.promql import FEATURE, MODEL, PROVIDER
from spanmeter_gateway.alerting.sums import ANSWERED, ERROR, REASON, TOKEN_CLASS
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import Metric

HOUR = 61
BUILD = names.BUILD_INFO.prometheus_name
CHAT = {FEATURE: "chat"}
GPT = {PROVIDER: "openai", MODEL: "gpt-5"}
ONE = CHAT | GPT


def every(per_minute: float) -> Span:
    return every_minute(HOUR, per_minute)


def of(metric: Metric, per_minute: float, **labels: str) -> Series:
    return counter(metric.prometheus_name, ONE | labels, every(per_minute))


def grown(record: str, by: str = "") -> str:
    return f"round(sum{by} (increase({record}[30m])), 0.01)"


# A minute brings eight calls, six of them good, and one more that the caller got wrong.
TRAFFIC = (
    *calls("chat", {"ok": [every(6)], "provider_error": [every(2)], "caller_error": [every(1)]}),
    of(names.CALLS, 3, **{ERROR: "503"}),
    of(names.COST, 0.25, **{TOKEN_CLASS: "input"}),
    of(names.COST, 0.5, **{TOKEN_CLASS: "output"}),
    *(
        of(names.TOKENS, amount, **{TOKEN_CLASS: kind})
        for kind, amount in (
            *(("input", 10), ("cache_read", 20), ("cache_write", 30)),
            *(("output", 1), ("reasoning", 2)),
        )
    ),
    of(names.ATTEMPTS, 7),
    of(names.ATTEMPTS, 4, **{ERROR: "503"}),
    *durations("chat", {0.5: [every(1)], 5: [every(2)]}),
    counter("spanmeter_call_duration_seconds_sum", ONE | {"spanmeter_outcome": "ok"}, every(9)),
    *first_chunks("chat", {0.64: [every(5)]}),
    counter(
        f"{names.INFERENCE_DURATION.prometheus_name}_count",
        ONE | {ANSWERED: "gpt-5-2026"},
        every(4),
    ),
    of(names.UNPRICED, 1, **{REASON: "unknown_model"}),
    of(names.UNMETERED, 2, **{REASON: "cancelled"}),
    gauge(BUILD, {"version": "1.0.0"}, (HOUR, 1)),
)


def test_each_sum_adds_up_its_own_part(tmp_path: Path) -> None:
    by_le = f" by (le, {FEATURE}, {PROVIDER}) "
    expected = [
        shows("1h", grown(series.SUM_CALLS, f" by ({FEATURE}, {MODEL})"),
              (CHAT | {MODEL: "gpt-5"}, 360)),
        shows("1h", grown(series.SUM_ELIGIBLE), ({}, 240)),
        shows("1h", grown(series.SUM_FAULTS), ({}, 60)),
        shows("1h", grown(series.SUM_COST), ({}, 22.5)),
        shows("1h", grown(series.SUM_TOKENS), ({}, 1890)),
        shows("1h", grown(series.SUM_INPUT), ({}, 1800)),
        shows("1h", grown(series.SUM_OUTPUT), ({}, 90)),
        shows("1h", grown(series.SUM_CACHE_READ), ({}, 600)),
        shows("1h", grown(series.SUM_ATTEMPTS), ({}, 330)),
        shows("1h", grown(f'{series.SUM_WAITS_BY_FEATURE}{{le=~"1|\\\\+Inf"}}', by_le),
              (CHAT | {"le": "1"}, 30), (CHAT | {"le": "+Inf"}, 90)),
        shows("1h", grown(f'{series.SUM_WAITS_BY_MODEL}{{le="1"}}', by_le),
              ({PROVIDER: "openai", "le": "1"}, 30)),
        shows("1h", grown(series.SUM_WAIT_SECONDS, by_le), (CHAT, 270)),
        shows("1h", grown(f'{series.SUM_FIRST_CHUNKS}{{le=~"0.32|0.64"}}', by_le),
              ({PROVIDER: "openai", "le": "0.32"}, 0), ({PROVIDER: "openai", "le": "0.64"}, 150)),
        shows("1h", grown(f'{series.SUM_ANSWERS}{{{ANSWERED}!=""}}', f" by ({MODEL}, {ANSWERED}) "),
              ({MODEL: "gpt-5", ANSWERED: "gpt-5-2026"}, 120)),
        shows("1h", grown(f'{series.SUM_CALL_ERRORS}{{{ERROR}!=""}}'), ({}, 90)),
        shows("1h", grown(f'{series.SUM_ATTEMPT_ERRORS}{{{ERROR}!=""}}'), ({}, 120)),
        shows("1h", grown(series.SUM_UNPRICED, f" by ({REASON})"), ({REASON: "unknown_model"}, 30)),
        shows("1h", grown(series.SUM_UNMETERED, f" by ({REASON})"), ({REASON: "cancelled"}, 60)),
        shows("1h", series.SUMS_RECORDED, ({"__name__": series.SUMS_RECORDED}, 1)),
        # Within half an hour of steady traffic the copy, three of whose samples are there, says so.
        shows("1h", grown(series.seldom(series.SUM_CALLS)), ({}, 360)),
        shows("1h", grown(series.seldom(series.SUM_COST)), ({}, 22.5)),
    ]  # fmt: skip

    assert complaints(tmp_path, [Case("parts", TRAFFIC, expected)], files=["sums"]) == ""


def test_the_older_names_of_first_chunks_are_added_up_as_well(tmp_path: Path) -> None:
    older = first_chunks("chat", {0.64: [every(5)]}, names.OPERATION_TIME_TO_FIRST)
    expected = shows("1h", grown(f'{series.SUM_FIRST_CHUNKS}{{le="0.64"}}'), ({}, 150))

    assert complaints(tmp_path, [Case("v1.41", older, [expected])], files=["sums"]) == ""


def test_a_sum_grows_as_its_counters_do_whatever_becomes_of_them(tmp_path: Path) -> None:
    grows = {
        "steady": (every_minute(121, 2),),
        "books deleted": (every_minute(60, 2), restarted(61, 2)),
        "unscraped": (every_minute(50, 2), unscraped(20, 2), every_minute(51, 2)),
        "gone": (every_minute(100, 2),),
        "new": (unscraped(40), every_minute(81, 2)),
    }
    traffic = [
        each
        for feature, spans in grows.items()
        for model in ("a", "b")
        for each in calls(feature, {"ok": spans}, **{MODEL: model, "instance": feature})
    ]
    by = f"sum by ({FEATURE})"
    of_metric = f"{by} (increase({sources.CALLS.raw}[90m]))"
    of_sum = f"{by} (increase({series.SUM_CALLS}[90m]))"
    same = f"count({of_metric} / on ({FEATURE}) {of_sum} < 1.03 > 0.97)"
    expected = shows("2h", same, ({}, len(grows)))

    assert complaints(tmp_path, [Case("lives", traffic, [expected])], files=["sums"]) == ""


def test_every_instance_has_a_sum_of_its_own(tmp_path: Path) -> None:
    # One that goes takes its part of a common sum along: that would look like a new beginning.
    stays = calls("chat", {"ok": [every_minute(61, 10)]}, instance="a")
    goes = calls("chat", {"ok": [every_minute(41, 10)]}, instance="b")
    expected = shows("1h", f"round(sum(increase({series.SUM_CALLS}[30m])), 10)", ({}, 300 + 100))

    assert complaints(tmp_path, [Case("goes", [*stays, *goes], [expected])], files=["sums"]) == ""


DAYS = 3 * 24 * 60
ALL_FEATURES = Choice((ALL,), ".*")


def reads(name: str, source: Source, range_h: int, feature: Choice = ALL_FEATURES) -> Expectation:
    """Expect that a dashboard of such a range, with these features chosen, reads this series."""
    window = Window(until_s=0, range_s=range_h * 3600, scrape_s=60)
    others = () if source.kept is None else ("feature",)
    asked = substituted(choice(source, others), {"feature": feature}, window)
    return shows("2d23h", f"group by ({SERIES}) ({asked})", ({SERIES: name}, 1))


def test_long_ranges_read_recorded_sums(tmp_path: Path) -> None:
    calls, waits, daily = sources.CALLS, sources.MODEL_WAITS, sources.DAILY_CALLS
    expected = [
        reads(calls.raw, calls, 12),
        reads(calls.recorded, calls, 13),
        reads(calls.recorded, calls, 48),
        reads(calls.seldom, calls, 49),
        reads(calls.recorded, calls, 24, Choice(("chat",))),
        reads(waits.recorded, waits, 24),
        reads(waits.seldom, waits, 73),
        reads(daily.seldom, daily, 1),
    ]

    assert _complained(tmp_path, expected, _mark(0), _copy_mark(0)) == ""


@pytest.mark.parametrize("marks", [[], [24 * 60]], ids=["never copied", "copied since a day"])
def test_what_was_not_copied_from_the_beginning_is_read_from_the_sums(
    tmp_path: Path, marks: list[int]
) -> None:
    chosen = (sources.CALLS, sources.MODEL_WAITS, sources.DAILY_CALLS)
    expected = [reads(source.recorded, source, 73) for source in chosen]

    assert _complained(tmp_path, expected, _mark(0), *map(_copy_mark, marks)) == ""


def test_a_filter_that_a_sum_cannot_follow_reads_the_metric(tmp_path: Path) -> None:
    waits = sources.MODEL_WAITS
    choices = (Choice(("chat",)), Choice(("a", "b")), Choice(("a.*",)), Choice(("$series",)))
    expected = [reads(waits.raw, waits, range_h, each) for each in choices for range_h in (24, 73)]

    assert _complained(tmp_path, expected, _mark(0), _copy_mark(0)) == ""


def test_the_rules_may_begin_some_minutes_after_the_gateway(tmp_path: Path) -> None:
    # promtool asks at full hours: at one of them the gateway is there, and no rule was evaluated.
    scraped = gauge(BUILD, {}, (118, None), (DAYS - 118, 1))
    chosen = sources.CALLS
    expected = [reads(chosen.recorded, chosen, 24), reads(chosen.seldom, chosen, 73)]
    case = Case("decided", [scraped, _mark(123), _copy_mark(136)], expected)

    assert complaints(tmp_path, [case], files=["spending"], interval="5m") == ""


def test_what_was_missed_with_the_gateway_was_not_there(tmp_path: Path) -> None:
    # Prometheus was away for an hour: at the full hour in it the last sample still counts.
    spans: list[tuple[int, float | None]] = [(49, 1), (60, None), (DAYS - 109, 1)]
    away = [recorded(name, {}, *spans) for name in (BUILD, series.SUMS_RECORDED)]
    expected = [reads(sources.CALLS.recorded, sources.CALLS, 24)]
    case = Case("away", away, expected)

    assert complaints(tmp_path, [case], files=["spending"], interval="5m") == ""


@pytest.mark.parametrize("marks", [[], [24 * 60]], ids=["never recorded", "recorded since a day"])
def test_what_was_not_recorded_from_the_beginning_is_read_from_the_metric(
    tmp_path: Path, marks: list[int]
) -> None:
    chosen = (sources.CALLS, sources.MODEL_WAITS, sources.DAILY_CALLS)
    expected = [reads(source.raw, source, 24) for source in chosen]

    assert _complained(tmp_path, expected, *map(_mark, marks)) == ""


def _complained(folder: Path, expected: list[Expectation], *marks: Series) -> str:
    scraped = gauge(BUILD, {}, (DAYS, 1))
    case = Case("decided", [scraped, *marks], expected)
    return complaints(folder, [case], files=["spending"], interval="5m")


def _mark(begins_min: int, name: str = series.SUMS_RECORDED) -> Series:
    before: list[tuple[int, float | None]] = [(begins_min, None)] if begins_min else []
    return recorded(name, {}, *before, (DAYS - begins_min, 1))


def _copy_mark(begins_min: int) -> Series:
    return _mark(begins_min, series.seldom(series.SUMS_RECORDED))
