"""What the dashboards Tags and Models say of traffic whose figures are known, by promtool."""

from pathlib import Path

from tests.alerting_rules import Case, Series, calls, complaints, counter, every_minute, shows
from tests.dashboards import fleet, shipped
from tests.dashboards.grafana_queries import Choice, Window, substituted

from grafana.dashboards.models_parts import ADVICE
from grafana.queries import (
    ANSWERED,
    LABEL_BY_VARIABLE,
    MODEL,
    PROVIDER,
    REASON,
    TAG_KEYS,
    labels_of,
    tag_label,
)
from spanmeter_gateway.telemetry import names

TEN_MINUTES = Window(until_s=0, range_s=600, scrape_s=60)
TAGS, MODELS = "spanmeter-tags", "spanmeter-models"
OPENAI = {PROVIDER: "openai", MODEL: "gpt-5"}
# Six calls a minute say their environment, two do not.
TAGGED = (
    *calls("chat", {"ok": [every_minute(21, 6)]}, spanmeter_tag_env="prod", spanmeter_tag_team="a"),
    *calls("chat", {"ok": [every_minute(21, 2)]}, spanmeter_tag_team="b"),
)


def query(uid: str, place: str, **chosen: str) -> str:
    dashboard = shipped.load(uid)
    [target] = [each for each in shipped.of_panels(dashboard) if each.place == place]
    choices = shipped.at_all(dashboard) | {key: Choice((one,)) for key, one in chosen.items()}
    return f"round({substituted(target.expr, choices, TEN_MINUTES)}, 0.0001)"


def complained(folder: Path, series: tuple[Series, ...], *expected: dict[str, object]) -> str:
    return complaints(folder, [Case("figures", series, expected)], files=["pipeline"])


def answers(metric: names.Metric, model: str, answered: str, per_minute: float) -> Series:
    labels = {PROVIDER: "openai", MODEL: model, ANSWERED: answered}
    return counter(f"{metric.prometheus_name}_count", labels, every_minute(21, per_minute))


def test_calls_without_the_chosen_key_are_a_row_of_their_own(tmp_path: Path) -> None:
    table = "What does each value cost, and what changed since last week? / A"
    by_env = shows("20m", query(TAGS, table), ({"value": "prod"}, 60), ({"value": "untagged"}, 20))
    by_team = shows(
        "20m",
        query(TAGS, table, key=tag_label("team")),
        ({"value": "a"}, 60),
        ({"value": "b"}, 20),
    )

    assert complained(tmp_path, TAGGED, by_env, by_team) == ""


def test_filters_by_tags_go_together(tmp_path: Path) -> None:
    total = "Calls / A"
    both = shows("20m", query(TAGS, total, tag_env="prod", tag_team="a"), ({}, 60))
    neither = shows("20m", query(TAGS, total, tag_env="prod", tag_team="b"))

    assert complained(tmp_path, TAGGED, both, neither) == ""


def test_the_share_of_calls_that_lack_the_key_is_that_of_all_calls(tmp_path: Path) -> None:
    share = "Calls without the tag / A"
    course = "Since when do calls lack the tag? / A"
    lacking = [
        shows("20m", query(TAGS, share), ({}, 0.25)),
        shows("20m", query(TAGS, course), ({}, 0.25)),
        shows("20m", query(TAGS, share, key=tag_label("team")), ({}, 0)),
        shows("20m", query(TAGS, share, key=tag_label("project")), ({}, 1)),
    ]

    assert complained(tmp_path, TAGGED, *lacking) == ""


def test_an_answers_model_is_shared_out_among_those_that_were_asked_for_it(tmp_path: Path) -> None:
    answered = (
        answers(names.INFERENCE_DURATION, "gpt-5", "gpt-5-2025-08-07", 3),
        answers(names.INFERENCE_DURATION, "gpt-5", "gpt-5-2026-01-01", 1),
        answers(names.INFERENCE_DURATION, "gpt-5", "", 9),
        answers(names.OPERATION_DURATION, "embed", "embed-1", 2),
    )
    expected = shows(
        "20m",
        query(MODELS, "Which model answers for which? / B"),
        (OPENAI | {ANSWERED: "gpt-5-2025-08-07"}, 0.75),
        (OPENAI | {ANSWERED: "gpt-5-2026-01-01"}, 0.25),
        ({PROVIDER: "openai", MODEL: "embed", ANSWERED: "embed-1"}, 1),
    )

    assert complained(tmp_path, answered, expected) == ""


def test_calls_without_a_price_and_without_usage_are_both_of_unknown_cost(tmp_path: Path) -> None:
    unknown = (
        *calls("chat", {"ok": [every_minute(21, 8)]}),
        counter(
            names.UNPRICED.prometheus_name,
            OPENAI | {REASON: "unknown_model"},
            every_minute(21, 1),
        ),
        counter(
            names.UNMETERED.prometheus_name,
            OPENAI | {REASON: "cancelled"},
            every_minute(21, 3),
        ),
    )
    expected = [
        shows("20m", query(MODELS, "Calls of unknown cost / A"), ({}, 0.5)),
        shows(
            "20m",
            query(MODELS, "Which calls have no known cost, and what to do? / C"),
            (OPENAI | {REASON: "unknown_model"}, 0.125),
            (OPENAI | {REASON: "cancelled"}, 0.375),
        ),
    ]

    assert complained(tmp_path, unknown, *expected) == ""


def test_every_reason_for_an_unknown_cost_has_its_advice() -> None:
    listed = (*fleet.values_of(names.UNPRICED), *fleet.values_of(names.UNMETERED))

    assert tuple(ADVICE) == listed


def test_every_tag_that_is_a_label_can_be_chosen() -> None:
    [key] = shipped.variables(shipped.load(TAGS), "custom")

    labels = [tag_label(each) for each in TAG_KEYS]
    assert [each["value"] for each in key["options"]] == labels
    assert key["query"].split(", ") == [
        f"{name} : {label}" for name, label in zip(TAG_KEYS, labels, strict=True)
    ]
    assert key["current"] == key["options"][0]


def test_a_free_filter_offers_what_every_panel_can_be_filtered_by() -> None:
    [filters] = shipped.variables(shipped.load(TAGS), "adhoc")

    offered = {each["value"] for each in filters["defaultKeys"]}
    read = (names.CALLS, names.TOKENS, names.COST)
    assert offered == set(LABEL_BY_VARIABLE.values())
    assert [metric.name for metric in read if not offered <= labels_of(metric)] == []


def test_a_bar_of_usage_is_a_day() -> None:
    daily = [each for each in shipped.panels(shipped.load(MODELS)) if "a day?" in each["title"]]

    steps = [
        (each["timeFrom"], [target["interval"] for target in each["targets"]]) for each in daily
    ]
    assert steps == [("7d", ["1d"])] * 3
    assert [each["targets"][0]["expr"].count("[1d] offset -1d") for each in daily] == [1] * 3
