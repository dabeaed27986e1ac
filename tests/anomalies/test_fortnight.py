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


def test_a_cost_spike_in_one_of_thirty_features_is_told_of_once_and_nothing_else_is(
    tmp_path: Path,
) -> None:
    drawn = features(1)
    spiking = drawn[12].name
    spike = Injection(spiking, "cost", SPIKE_AT_S, SPIKE_S, 4.4)
    # The week before is learned, not evaluated: that takes minutes (`python -m tests.anomalies`).
    begin_s, from_s = MONDAY_S + 5 * DAY_S, MONDAY_S + 12 * DAY_S + 12 * HOUR_S
    times = range(begin_s, MONDAY_S + 13 * DAY_S + 12 * HOUR_S, BUCKET_S)
    traffic = {each.name: list(buckets(each, 1, times, [spike])) for each in drawn}

    events = told(tmp_path, traffic, begin_s, from_s=from_s)

    beginnings = [(each.labels["spanmeter_feature"], each.labels["anomaly"]) for each in events]
    states = [each.state for each in events]
    assert (beginnings, states) == ([(spiking, "cost")] * 2, ["firing", "resolved"])
    assert SPIKE_AT_S < events[0].at_s <= SPIKE_AT_S + 3 * BUCKET_S
    assert SPIKE_AT_S + SPIKE_S < events[1].at_s <= SPIKE_AT_S + SPIKE_S + 4 * BUCKET_S
