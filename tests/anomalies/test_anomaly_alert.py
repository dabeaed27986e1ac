"""SpanmeterAnomaly under promtool: one world in which each feature lives through one case.

Two days have to pass before anything can be an anomaly, and promtool evaluates all of them, so the
cases share that time: what they do begins after 50 hours, and the books lag in the last ones.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.alerting_rules import (
    UNEDITED,
    Case,
    Expectation,
    Series,
    Span,
    about,
    calls,
    complaints,
    counter,
    durations,
    every_minute,
    fires,
    gauge,
    restarted,
    shows,
    unscraped,
)

from spanmeter_gateway.alerting import anomalies, series
from spanmeter_gateway.alerting.promql import FEATURE
from spanmeter_gateway.alerting.rule import REAL
from spanmeter_gateway.alerting.slo import Exclusion, Slo
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import label

ALERT = "SpanmeterAnomaly"
HOUR_S = 3600
END = 60 * 60
SPIKE = 3000
"""The minute after which most cases begin."""
TEAM = {"team": "platform"}


def _until_end(*spans: Span) -> list[Span]:
    """Go on as at first."""
    gone = sum(span.minutes for span in spans)
    return [*spans, every_minute(END - gone, spans[0].per_minute)]


def _served(feature: str, *spans: Span) -> tuple[Series, ...]:
    """Serve calls, a cent each."""
    usd = [replace(each, per_minute=each.per_minute / 100) for each in _until_end(*spans)]
    return (*calls(feature, {"ok": _until_end(*spans)}), _cost(feature, *usd))


def _cost(feature: str, *spans: Span) -> Series:
    return counter(names.COST.prometheus_name, {FEATURE: feature}, *spans)


def _dearer(feature: str, minutes: int, at: int = SPIKE) -> tuple[Series, ...]:
    """Serve calls as ever, and pay 4.4 times as much for them for a while."""
    usd = _until_end(every_minute(at, 0.6), every_minute(minutes, 0.6 * 4.4))
    return (*calls(feature, {"ok": [every_minute(END, 60)]}), _cost(feature, *usd))


def _answered(feature: str, model: str, *spans: Span) -> Series:
    models = {label(names.REQUEST_MODEL): "gpt-5", label(names.RESPONSE_MODEL): model}
    attempts = f"{names.INFERENCE_DURATION.prometheus_name}_count"
    return counter(attempts, {FEATURE: feature} | models, *spans)


def _tells(
    at: int, feature: str, anomaly: str | None = None, severity: str = "critical"
) -> Expectation:
    """Expect one alert of a feature, or none."""
    firing = f'ALERTS{{alertname="{ALERT}",alertstate="firing",{FEATURE}="{feature}"}}'
    labels = {"anomaly": anomaly or "", "scope": "feature", FEATURE: feature, "severity": severity}
    samples = [(labels | TEAM, 1.0)] if anomaly else []
    return shows(f"{at}m", f"group without (alertname, alertstate) ({firing})", *samples)


def _never_tells(feature: str) -> Expectation:
    firing = f'ALERTS{{alertname="{ALERT}",alertstate="firing",{FEATURE}="{feature}"}}'
    return shows(f"{END}m", f"max_over_time({firing}[{END}m])")


def _spike() -> Case:
    told = (
        _tells(3005, "spike"),
        _tells(3010, "spike", "cost"),
        _tells(3050, "spike", "cost"),
        _tells(3055, "spike"),
        shows(
            "3010m",
            f'max without (scope) ({series.ANOMALY}{{{FEATURE}="spike"}})',
            ({"anomaly": "cost", "level": "critical", FEATURE: "spike"}, 1),
        ),
    )
    return Case("begins with the second breach, ends with three normal", _dearer("spike", 40), told)


def _each_metric() -> list[Case]:
    failing = {
        "ok": [every_minute(SPIKE, 60), every_minute(END - SPIKE, 40)],
        "provider_error": [every_minute(SPIKE, 0), every_minute(END - SPIKE, 20)],
    }
    slow = {
        2.0: [every_minute(SPIKE, 60), every_minute(END - SPIKE, 0)],
        20.0: [every_minute(SPIKE, 0), every_minute(END - SPIKE, 60)],
    }
    usual = [every_minute(END, 60)]
    drifting = (
        *calls("drifting", {"ok": usual}),
        _answered("drifting", "gpt-5-2025-08-07", *failing["ok"]),
        _answered("drifting", "gpt-5-nano", *failing["provider_error"]),
    )
    rarer = _served("rarer", every_minute(SPIKE, 60), every_minute(60, 3))
    return [
        Case("few calls", rarer[:1], (_tells(3020, "rarer", "calls"),)),
        Case("failures", calls("failing", failing), (_tells(3020, "failing", "errors"),)),
        Case(
            "slowness",
            (*calls("slower", {"ok": usual}), *durations("slower", slow)),
            (_tells(3020, "slower", "latency"),),
        ),
        Case("another model", drifting, (_tells(3020, "drifting", "drift"),)),
    ]


def _quiet() -> list[Case]:
    one_failure = {
        "ok": [every_minute(END, 60)],
        "provider_error": [every_minute(SPIKE, 0), every_minute(1, 1), every_minute(999, 0)],
    }
    rare = (
        *calls("rare", {"ok": [every_minute(END, 0.04)]}),
        _cost("rare", *_until_end(every_minute(SPIKE, 0.001), every_minute(60, 1))),
    )
    snapshot = _answered("snapshot", "gpt-5-2025-08-07", every_minute(END, 60))
    gap = _served("gap", every_minute(SPIKE, 60), unscraped(20, 60))
    reset = _served("reset", every_minute(SPIKE, 60), restarted(20, 60))
    fresh = calls("new", {"ok": [unscraped(SPIKE), every_minute(END - SPIKE, 600)]})
    early = _served("early", every_minute(2400, 60), every_minute(60, 600))
    by_name = {
        "snapshot": (*calls("snapshot", {"ok": [every_minute(END, 60)]}), snapshot),
        "one_failure": calls("one_failure", one_failure),
        "gap": gap,
        "reset": reset,
        "new": fresh,
        "early": early,
        "rare": rare,
    }
    return [Case(name, traffic, (_never_tells(name),)) for name, traffic in by_name.items()]


def _levels() -> Case:
    # Mean 111, standard deviation 59: these are 2.2, 3.3, 4.6 and again 2.2 of them away.
    busy, idle = every_minute(8 * 60, 180), every_minute(16 * 60, 60)
    rising = [every_minute(30, count) for count in (243, 309, 388, 243)]
    spans = [busy, idle, busy, idle, busy, every_minute(60, 60), *rising]
    told = (
        _tells(3420, "rising"),
        _tells(3440, "rising", "calls", "warning"),
        _tells(3470, "rising", "calls", "high"),
        _tells(3500, "rising", "calls", "critical"),
        _tells(3530, "rising", "calls", "critical"),
    )
    return Case("a level rises and never falls", calls("rising", {"ok": spans}), told)


def _lag() -> list[Case]:
    lag = gauge(names.BOOKS_LAG.prometheus_name, {}, (3540, 0), (30, 120), (END - 3570, 0))
    ends = (_tells(3570, "before_lag", "cost"), _tells(3595, "before_lag"))
    return [
        Case("begins", (*_dearer("in_lag", 20, at=3545), lag), (_never_tells("in_lag"),)),
        Case("lasts", _dearer("before_lag", 15, at=3515), ends),
    ]


def _warm_up() -> Case:
    hours = f'round({series.ANOMALY_WARM_UP}{{{FEATURE}="warming"}})'
    left = shows("1440m", hours, ({"scope": "feature", FEATURE: "warming"}, 24))
    return Case("says how many hours are left", _served("warming", every_minute(2, 60)), (left,))


CASES = [
    _spike(), *_each_metric(), *_quiet(), _levels(), *_lag(), _warm_up(),
]  # fmt: skip


def _complaints(folder: Path, cases: Sequence[Case], slo: Slo = UNEDITED) -> str:
    return complaints(
        folder, cases, slo, interval="5m", files=("features", "anomalies"),
        without=("spanmeter-features-long",), together=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def complained(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Let all cases happen."""
    return _complaints(tmp_path_factory.mktemp("world"), CASES)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_an_anomaly_is_told_of_once_and_only_where_there_is_one(complained: str, name: str) -> None:
    assert about(complained, name) == ""


def test_all_features_together_are_told_of_where_no_single_one_explains_it(tmp_path: Path) -> None:
    small = [
        each
        for place in range(4)
        for each in (
            *calls(f"small-{place}", {"ok": [every_minute(3060, 0.06)]}),
            _cost(f"small-{place}", every_minute(SPIKE, 0.01), every_minute(60, 0.05)),
        )
    ]
    who = {"anomaly": "cost", "scope": "all", "severity": "critical"} | TEAM
    case = Case("each is too small to be watched", small, (fires("3020m", ALERT, who),))

    assert _complaints(tmp_path, [case]) == ""


def test_an_excluded_window_leaves_the_baseline_now_and_when_it_is_written_down_later(
    tmp_path: Path,
) -> None:
    windows = (
        Exclusion(2 * HOUR_S, 3 * HOUR_S, "excluded"),
        Exclusion(6 * HOUR_S, 7 * HOUR_S, "excluded", ("calls",)),
    )
    spans = every_minute(120, 60), every_minute(60, 600), every_minute(300, 60)
    traffic = [each for name in ("excluded", "learned") for each in calls(name, {"ok": spans})]
    who = {"anomaly": "calls", "scope": "feature"}
    excluded, learned = who | {FEATURE: "excluded"}, who | {FEATURE: "learned"}
    of_features = '{anomaly="calls",scope="feature"}'
    means = f"round({series.ANOMALY_MEAN}{of_features} / 10)"
    told = (
        # (2 * 300 + 3000 + 3 * 300) / 6 and a little, as the last hours are learned late
        shows("360m", means, (excluded, 30), (learned, 76)),
        shows("410m", f"1 * {series.ANOMALY_EXCLUDED}{of_features}", (excluded, 1)),
        shows("410m", f"0 * {series.ANOMALY_CLEAN}{of_features}", (learned, 0)),
        shows("450m", f"0 * {series.ANOMALY_CLEAN}{of_features}", (excluded, 0), (learned, 0)),
    )

    complained = _complaints(tmp_path, [Case("windows", traffic, told)], Slo(exclusions=windows))

    assert complained == ""


def test_an_excluded_window_has_no_sigma_and_so_no_anomaly() -> None:
    slo = Slo(exclusions=(Exclusion(0, 1),))
    rules = [rule for group in anomalies.groups(slo, REAL) for rule in group.rules]

    of_sigma = [rule.expr for rule in rules if getattr(rule, "record", "") == series.ANOMALY_SIGMA]

    assert [expr.endswith(f"unless {series.ANOMALY_EXCLUDED}") for expr in of_sigma] == [True]
