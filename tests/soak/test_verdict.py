"""A soak that could not fail would prove nothing: each broken promise is named."""

from collections.abc import Mapping, Sequence

import pytest
from tests.soak.calls import SORTS, Call, Left, Lost
from tests.soak.verdict import Court, Fault, unequal
from tests.traffic import End

KILL = Fault("relay", 100.0, 100.2)
RESTART = Fault("restart", 200.0, 205.0)
OK: End = ("soak-1", "ok", "")
RELAY_LOST: End = ("soak-1", "gateway_error", "relay_lost")
CANCELLED: End = ("soak-1", "cancelled", "client_disconnected")


def a_call(
    began_s: float,
    ended_s: float,
    how: Left = "answered",
    *,
    sort: str = "plain",
    closes: bool = False,
) -> Call:
    status = SORTS[sort].kind.status if how == "answered" else None
    return Call("7", "soak-1", sort, 3, began_s, ended_s, how, status, closes)


def judge(
    call: Call, ends: Mapping[str, Sequence[End]], *, lost_s: float | None = None
) -> tuple[list[str], int, int]:
    losts = [] if lost_s is None else [Lost(3, lost_s)]
    verdict = Court([KILL, RESTART], losts, ends).judge([call])
    return verdict.violations, verdict.missing, verdict.relay_lost


@pytest.mark.parametrize(
    ("call", "ends", "lost_s", "missing", "relay_lost"),
    [
        (a_call(50, 51), [OK], None, 0, 0),
        (a_call(99.8, 99.9), [], 100.1, 1, 0),
        (a_call(99.8, 100.1, "broken"), [], 100.1, 1, 0),
        (a_call(90, 100.1, "broken"), [RELAY_LOST], 100.1, 0, 1),
        (a_call(90, 99.9), [RELAY_LOST], 100.1, 0, 1),
        (a_call(99.8, 100.1, "unsent"), [], 100.1, 1, 0),
        (a_call(201, 201.1, "unsent"), [], 201.1, 0, 0),
        (a_call(60, 61, "left", sort="cancelled"), [CANCELLED], None, 0, 0),
        (a_call(99, 99.9, "left", sort="cancelled"), [], None, 1, 0),
        (a_call(99.8, 99.9, closes=True), [], None, 1, 0),
    ],
)
def test_what_was_promised_is_no_violation(
    call: Call, ends: list[End], lost_s: float | None, missing: int, relay_lost: int
) -> None:
    assert judge(call, {"7": ends} if ends else {}, lost_s=lost_s) == ([], missing, relay_lost)


@pytest.mark.parametrize(
    ("call", "ends", "lost_s", "named"),
    [
        (a_call(50, 51), {}, None, "counted as []"),
        (a_call(50, 51), {"7": [OK, OK]}, None, "counted 2 times"),
        (a_call(50, 51), {"7": [CANCELLED]}, None, "counted as"),
        (a_call(99.8, 99.9), {}, None, "counted as []"),  # the kill was not of its connection
        (a_call(95, 96), {}, 100.1, "counted as []"),  # older than a flush
        (a_call(95, 96, closes=True), {}, None, "counted as []"),
        (a_call(90, 100.1, "broken"), {}, 100.1, "missing, 10.00 s old"),
        (a_call(50, 51, "broken"), {"7": [OK]}, 51, "nobody was killed"),
        (a_call(201, 201.1, "broken"), {"7": [OK]}, 201.1, "nobody was killed"),
        (a_call(50, 51), {"7": [OK], "8": [OK]}, None, "nobody called"),
    ],
)
def test_what_was_promised_and_not_kept_is_named(
    call: Call, ends: dict[str, list[End]], lost_s: float | None, named: str
) -> None:
    [violation], _, _ = judge(call, ends, lost_s=lost_s)

    assert named in violation


@pytest.mark.parametrize(("closed_s", "missing"), [(99.95, 1), (101.0, 1), (110.0, 0)])
def test_a_connection_that_its_client_closed_around_the_kill_may_have_been_the_dead_ones(
    closed_s: float, missing: int
) -> None:
    later = Call("8", "soak-1", "plain", 3, 99.92, closed_s, "answered", 200, closes=True)
    ends = {"8": [OK]}

    verdict = Court([KILL], [], ends).judge([a_call(99.8, 99.9), later])

    assert (verdict.missing, len(verdict.violations)) == (missing, 1 - missing)


def test_a_wrong_answer_is_named() -> None:
    call = Call("7", "soak-1", "plain", 3, 50, 51, "answered", 503)

    [violation] = judge(call, {"7": [OK]})[0]

    assert violation.startswith("7 (plain, answered): answered 503; of the nearest kill")


def test_what_spans_and_metrics_differ_by_is_named() -> None:
    assert unequal({"7": [OK], "8": [OK]}, {OK: 2}) == []
    assert unequal({"7": [OK]}, {OK: 2}) == ["soak-1 ok : 1 by spans, 2 by /metrics"]
    assert unequal({}, {OK: 1}) == ["soak-1 ok : 0 by spans, 1 by /metrics"]
