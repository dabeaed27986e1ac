"""Variables and windows become what Grafana's documentation says."""

import pytest
from tests.dashboards.grafana_queries import ALL, Choice, UnknownVariable, Window, substituted

DAY = Window(until_s=0, range_s=86_400, scrape_s=15)


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        (Choice((ALL,), ".*"), ".*"),
        (Choice(("gpt-4.1",)), r"gpt-4\\.1"),
        (Choice(("gpt-4.1", "o3 (mini)")), r"(gpt-4\\.1|o3 \\(mini\\))"),
        (Choice(("a|b\\c",)), r"a\\|b\\\\c"),
        (Choice(("gpt-4.1",), is_many=False), "gpt-4.1"),
    ],
)
def test_a_choice_is_escaped_for_a_regular_expression_in_a_string(
    choice: Choice, text: str
) -> None:
    assert substituted('x{y=~"$y"}', {"y": choice}, DAY) == f'x{{y=~"{text}"}}'


@pytest.mark.parametrize(
    ("scrape_s", "range_s", "interval", "rate_interval"),
    [(15, 3_600, "15s", "60s"), (15, 86_400, "60s", "75s"), (60, 604_800, "600s", "660s")],
)
def test_a_rate_rests_on_four_scrapes_at_least(
    scrape_s: int, range_s: int, interval: str, rate_interval: str
) -> None:
    window = Window(until_s=0, range_s=range_s, scrape_s=scrape_s)

    text = substituted("$__interval ${__rate_interval} $__range", {}, window)
    assert text == f"{interval} {rate_interval} {range_s}s"


def test_a_variable_that_is_not_there_is_an_error_and_a_group_of_an_expression_is_none() -> None:
    assert substituted('label_replace(x, "a", "$1", "b", "(.+)")', {}, DAY).count("$1") == 1
    with pytest.raises(UnknownVariable, match="nobody"):
        substituted('x{y=~"${nobody}"}', {}, DAY)


def test_a_querys_own_step_stands_for_the_scrape_interval() -> None:
    week = Window(until_s=0, range_s=604_800, scrape_s=15, min_step_s=86_400)

    assert substituted("$__interval $__rate_interval", {}, week) == "86400s 345600s"
