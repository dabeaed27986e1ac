"""A real Alertmanager with the shipped file: which of several alerts at once is told."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pytest
from tests.alertmanager_process import AlertmanagerProcess
from tests.processes import wait_until

Labels = Mapping[str, str]
ABSENT = {"alertname": "SpanmeterTelemetryAbsent", "severity": "page", "team": "platform"}
BEHIND = {"alertname": "SpanmeterBooksBehind", "severity": "ticket", "team": "platform"}
WATCHDOG = {"alertname": "SpanmeterWatchdog", "severity": "none", "team": "platform"}
FOREIGN = {"alertname": "DiskFull", "severity": "ticket"}
LAST = {"alertname": "SpanmeterErrorBudgetBurnSlow", "severity": "ticket", "spanmeter_feature": "~"}
LAST_PAGE = LAST | {"alertname": "SpanmeterErrorBudgetBurnFast", "severity": "page"}


def of(feature: str, name: str, severity: str) -> Labels:
    return {
        "alertname": f"Spanmeter{name}", "severity": severity, "spanmeter_feature": feature,
        "team": "payments",
    }  # fmt: skip


def anomaly(level: str, *, kind: str = "cost", feature: str = "") -> Labels:
    whose = {"scope": "feature", "spanmeter_feature": feature} if feature else {"scope": "all"}
    return {"alertname": "SpanmeterAnomaly", "severity": level, "anomaly": kind} | whose


FAST = of("checkout", "ErrorBudgetBurnFast", "page")
SLOW = of("checkout", "ErrorBudgetBurnSlow", "ticket")
FAILING = of("checkout", "AllCallsFailing", "ticket")
LATENCY = of("checkout", "LatencyHigh", "ticket")
OTHERS_SLOW = of("search", "ErrorBudgetBurnSlow", "ticket")
OTHERS_FAST = of("search", "ErrorBudgetBurnFast", "page")
CASES: dict[str, tuple[Sequence[Labels], Sequence[Labels]]] = {
    "no telemetry hides what is known of features, and nothing else": (
        [ABSENT, FAST, SLOW, OTHERS_FAST, anomaly("high"), anomaly("high", feature="checkout"),
         BEHIND, WATCHDOG, FOREIGN],
        [ABSENT, BEHIND, WATCHDOG, FOREIGN],
    ),
    "one gateway of several that is not seen hides nothing": (
        [ABSENT | {"instance": "books-2:9464"}, FAST, anomaly("high")],
        [ABSENT | {"instance": "books-2:9464"}, FAST, anomaly("high")],
    ),
    "a feature's page hides its tickets, and no other feature's": (
        [FAST, SLOW, FAILING, LATENCY, OTHERS_SLOW], [FAST, OTHERS_SLOW],
    ),
    "a feature's page hides no ticket without a feature": (
        [FAST, BEHIND, FOREIGN], [FAST, BEHIND, FOREIGN],
    ),
    "a feature's page hides its anomaly of errors, not that of cost": (
        [FAST, anomaly("high", kind="errors", feature="checkout"),
         anomaly("high", feature="checkout")],
        [FAST, anomaly("high", feature="checkout")],
    ),
    "all calls failing says more than a slow burn, and hides no other ticket": (
        [FAILING, SLOW, LATENCY, OTHERS_SLOW], [FAILING, LATENCY, OTHERS_SLOW],
    ),
    "of the levels of an anomaly the highest is told": (
        [anomaly("warning"), anomaly("high"), anomaly("critical")], [anomaly("critical")],
    ),
    "high hides warning": (
        [anomaly("warning", feature="checkout"), anomaly("high", feature="checkout")],
        [anomaly("high", feature="checkout")],
    ),
    "a level hides none of another feature or another kind": (
        [anomaly("critical", feature="checkout"), anomaly("warning", feature="search"),
         anomaly("warning", kind="latency", feature="checkout")],
        [anomaly("critical", feature="checkout"), anomaly("warning", feature="search"),
         anomaly("warning", kind="latency", feature="checkout")],
    ),
}  # fmt: skip
"""What fires, and what of it is told."""


@pytest.fixture
def alertmanager() -> Iterator[AlertmanagerProcess]:
    with AlertmanagerProcess() as running:
        yield running


def is_told(alert: Mapping[str, Mapping[str, str]]) -> bool:
    return alert["status"]["state"] != "suppressed"


def in_order(alerts: Iterable[Labels]) -> list[list[tuple[str, str]]]:
    return sorted(sorted(labels.items()) for labels in alerts)


@pytest.mark.parametrize("case", CASES)
def test_one_problem_is_told_once(alertmanager: AlertmanagerProcess, case: str) -> None:
    firing, expected = CASES[case]
    alertmanager.post(firing)
    # It takes alerts in their order: when the last ones have their effect, all have.
    alertmanager.post([LAST_PAGE, LAST])
    wait_until(lambda: LAST in [each["labels"] for each in alertmanager.alerts()
                                if not is_told(each)])  # fmt: skip

    told = [each["labels"] for each in alertmanager.alerts() if is_told(each)]

    assert in_order(each for each in told if each != LAST_PAGE) == in_order(expected)
