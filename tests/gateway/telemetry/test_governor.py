import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.breakdown import Breakdown
from spanmeter_gateway.telemetry.budgets import Budgets, Pinned
from spanmeter_gateway.telemetry.governor import Governor
from spanmeter_gateway.telemetry.label_values import FREE, MAX_SEEN_ONCE, SUSTAINED_MINUTES

OTHER = names.FOLDED
MINUTE_NS = 60_000_000_000
START_NS = 1_790_000_000_000_000_000


class Clock:
    """Stands until it is told to go on."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        return self.now_ns

    def pass_minutes(self, minutes: float) -> None:
        self.now_ns += round(minutes * MINUTE_NS)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def breakdown(
    feature: str = "checkout",
    task: str = "",
    model: str = "",
    *,
    answering: str = "",
    tags: tuple[str, ...] = ("",),
) -> Breakdown:
    return Breakdown(feature, task, model, answering, tags)


def governor(clock: Clock, **budgets: object) -> Governor:
    return Governor(Budgets(**{"at_sight_percent": 50, **budgets}), ("env",), clock)


def features(governor: Governor, *sent: str) -> list[str]:
    """Settle a call of each feature, and say what they are counted as."""
    return [governor.settle(breakdown(feature)).feature for feature in sent]


def used(governor: Governor, attribute: str = names.FEATURE) -> int:
    label = names.label(attribute)
    return next(
        value
        for metric, labels, value in governor.gauges()
        if metric is names.LABEL_VALUES and labels == (label,)
    )


def test_the_first_half_of_a_budget_is_given_at_first_sight_and_kept(clock: Clock) -> None:
    watched = governor(clock, features=4)

    first = features(watched, "a", "b", "c", "d")
    clock.pass_minutes(1000)

    assert first == ["a", "b", OTHER, OTHER]
    assert features(watched, "b", "e", "a") == ["b", OTHER, "a"]


@pytest.mark.parametrize(
    ("budget", "folded"),
    [
        ("features", (OTHER, "t2", "m2", "r2", ("e2",))),
        ("tasks", ("f2", OTHER, "m2", "r2", ("e2",))),
        ("models", ("f2", "t2", OTHER, OTHER, ("e2",))),
        ("tag_values", ("f2", "t2", "m2", "r2", (OTHER,))),
    ],
)
def test_each_label_has_a_budget_of_its_own(
    clock: Clock, budget: str, folded: tuple[object, ...]
) -> None:
    watched = governor(clock, **{budget: 1})

    watched.settle(Breakdown("f1", "t1", "m1", "", ("e1",)))

    assert watched.settle(Breakdown("f2", "t2", "m2", "r2", ("e2",))) == folded


def test_request_and_response_model_share_one_budget(clock: Clock) -> None:
    watched = governor(clock, models=4)

    first = watched.settle(breakdown(model="gpt", answering="gpt-2024"))
    second = watched.settle(breakdown(model="gpt-2024", answering="gpt-2025"))

    assert (first.request_model, first.response_model) == ("gpt", "gpt-2024")
    assert (second.request_model, second.response_model) == ("gpt-2024", OTHER)


def test_what_is_absent_untagged_or_folded_takes_no_place(clock: Clock) -> None:
    watched = governor(clock, features=2)

    free = features(watched, *FREE)

    assert free == [*FREE]
    assert (used(watched), features(watched, "a")) == (0, ["a"])


def test_a_value_that_comes_in_three_minutes_gets_a_place_from_then_on(clock: Clock) -> None:
    watched = governor(clock, features=2)
    counted = features(watched, "first")

    for _ in range(SUSTAINED_MINUTES):
        counted += features(watched, "steady", "steady")
        clock.pass_minutes(2)

    assert counted == ["first", OTHER, OTHER, OTHER, OTHER, "steady", "steady"]


@pytest.mark.parametrize("pause_minutes", [0.01, 5, 10, 60])
def test_many_calls_in_one_minute_or_seldom_ones_get_no_place(
    clock: Clock, pause_minutes: float
) -> None:
    watched = governor(clock, features=2)
    features(watched, "first")

    counted = set()
    for _ in range(40):
        counted.update(features(watched, "burst"))
        clock.pass_minutes(pause_minutes)

    assert counted == {OTHER}


def test_the_last_place_is_given_once_and_then_there_is_none(clock: Clock) -> None:
    watched = governor(clock, features=2)
    features(watched, "first")

    for _ in range(SUSTAINED_MINUTES + 3):
        features(watched, "second", "third")
        clock.pass_minutes(1)

    assert features(watched, "first", "second", "third") == ["first", "second", OTHER]
    assert used(watched) == 2


def test_a_flood_of_random_names_never_gets_a_place_and_a_steady_one_among_them_does(
    clock: Clock,
) -> None:
    watched = governor(clock)
    names_of_the_flood = (f"random-{number}" for number in itertools.count())
    at_sight = Budgets().features // 2  # as `governor` sets it

    for _ in range(SUSTAINED_MINUTES):
        for name in itertools.islice(names_of_the_flood, 10 * MAX_SEEN_ONCE):
            watched.settle(breakdown(name))
            if name.endswith("000"):
                watched.settle(breakdown("steady"))
        clock.pass_minutes(1)

    assert features(watched, "steady") == ["steady"]
    assert used(watched) == at_sight + 1


def test_a_pinned_value_always_has_its_place_and_counts_in_the_budget(clock: Clock) -> None:
    pinned = Pinned(features=("late", "later"), tags={"env": ("prod",)})
    watched = governor(clock, features=4, tag_values=1, pinned=pinned)

    assert features(watched, "a", "b", "c") == ["a", OTHER, OTHER]
    late = watched.settle(breakdown("later", tags=("prod",)))
    assert (late.feature, late.tags) == ("later", ("prod",))
    assert (used(watched), watched.settle(breakdown(tags=("test",))).tags) == (3, (OTHER,))


def test_a_pinned_value_has_its_place_after_a_restart_with_a_full_budget(clock: Clock) -> None:
    watched = governor(clock, features=2, pinned=Pinned(features=("late",)))
    labels = ("", "", "", "", "")

    for feature in ("a", "b", "c"):
        watched.note(names.PASSTHROUGH, (feature, *labels))

    assert features(watched, "a", "c", "d", "late") == ["a", "c", OTHER, "late"]


def test_what_was_folded_is_told_once(clock: Clock) -> None:
    watched = governor(clock, features=1, models=1)
    watched.settle(breakdown(model="m"))

    watched.settle(breakdown("b", model="n"))
    watched.settle(breakdown("b", model="o", answering="p"))

    told = ["spanmeter_feature", "gen_ai_request_model", "gen_ai_response_model"]
    assert (watched.take_folded(), watched.take_folded()) == (told, [])


_VALUE = st.sampled_from(["", "untagged", OTHER, *"abcdefgh"])
_BREAKDOWNS = st.lists(
    st.tuples(st.builds(Breakdown, _VALUE, _VALUE, _VALUE, _VALUE, st.tuples(_VALUE)),
              st.floats(0, 3)),
    max_size=60,
)  # fmt: skip


@given(
    _BREAKDOWNS,
    st.integers(1, 5),
    st.sets(st.sampled_from("abxy"), max_size=2),
)
def test_a_label_never_has_more_values_than_its_budget_and_none_is_renamed(
    sent: list[tuple[Breakdown, float]], budget: int, pinned: set[str]
) -> None:
    clock = Clock()
    room = max(budget, len(pinned))
    watched = governor(clock, features=room, pinned=Pinned(features=tuple(pinned)))

    settled = []
    for one, minutes in sent:
        clock.pass_minutes(minutes)
        settled.append((one, watched.settle(one)))

    counted = {after.feature for _, after in settled}
    assert len((counted | pinned) - FREE) <= room
    assert {after.feature for one, after in settled if one.feature in pinned} <= pinned
    for one, after in settled:
        assert after.feature in {one.feature, OTHER}
        assert after._replace(feature=one.feature) == one


@given(_BREAKDOWNS)
def test_a_value_that_was_counted_as_it_is_always_will_be(
    sent: list[tuple[Breakdown, float]],
) -> None:
    clock = Clock()
    watched = governor(clock, features=3, tasks=2, models=3, tag_values=2)

    settled = []
    for one, minutes in sent:
        clock.pass_minutes(minutes)
        settled.append(watched.settle(one))

    assert [watched.settle(one) for one in settled] == settled
