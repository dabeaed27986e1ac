"""A fortnight of thirty features in real Prometheus code; the last day and a half evaluated."""

from pathlib import Path

from tests.anomalies.fortnight import (
    BUCKET_S,
    DAY_S,
    HOUR_S,
    MONDAY_S,
    Injection,
    buckets,
    features,
)
from tests.anomalies.forward import told

SPIKE_AT_S = MONDAY_S + 13 * DAY_S + 10 * HOUR_S
SPIKE_S = 40 * 60
STOP_AT_S = SPIKE_AT_S + HOUR_S
STOP_S = 30 * 60


def test_a_cost_spike_and_a_stop_in_two_of_thirty_features_are_told_of_once_and_nothing_else_is(
    tmp_path: Path,
) -> None:
    drawn = features(1)
    spiking = drawn[12].name
    # Its nights are quiet: within 2 deviations of the week's mean there is room for no call at all.
    stopping = next(each.name for each in drawn if each.name.startswith("daily-14"))
    happening = [
        Injection(spiking, "cost", SPIKE_AT_S, SPIKE_S, 4.4),
        Injection(stopping, "calls", STOP_AT_S, STOP_S, 0),
    ]
    # The week before is learned, not evaluated: that takes minutes (`python -m tests.anomalies`).
    begin_s, from_s = MONDAY_S + 5 * DAY_S, MONDAY_S + 12 * DAY_S + 12 * HOUR_S
    times = range(begin_s, STOP_AT_S + 2 * HOUR_S, BUCKET_S)
    traffic = {each.name: list(buckets(each, 1, times, happening)) for each in drawn}

    events = told(tmp_path, traffic, begin_s, from_s=from_s)

    assert [
        (each.labels["spanmeter_feature"], each.labels["anomaly"], each.state) for each in events
    ] == [
        (spiking, "cost", "firing"),
        (spiking, "cost", "resolved"),
        (stopping, "calls", "firing"),
        (stopping, "calls", "resolved"),
    ]
    assert _are_soon_after([each.at_s for each in events])


def _are_soon_after(at_s: list[int]) -> bool:
    causes = (SPIKE_AT_S, SPIKE_AT_S + SPIKE_S, STOP_AT_S, STOP_AT_S + STOP_S)
    return all(cause < at <= cause + 4 * BUCKET_S for cause, at in zip(causes, at_s, strict=True))
