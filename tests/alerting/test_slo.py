"""`slo.yaml`, read: what a key means, and what is said of one that is wrong."""

from decimal import Decimal
from pathlib import Path

import pytest

from spanmeter_gateway.alerting import slo
from spanmeter_gateway.alerting.slo import Exclusion, Links, Promise, Slo, Spend, Team
from spanmeter_gateway.errors import ConfigError

EVERYTHING = Path(__file__).parent / "everything.yaml"
OF_ALL = Promise(
    error_budget=Decimal("0.005"),
    p95_s=10,
    first_chunk_p95_s=2.56,
    caller_error_ratio=0.2,
    denied_ratio=0.05,
    cancelled_ratio=0.4,
)


def read(folder: Path, text: str) -> Slo:
    (folder / "slo.yaml").write_text(text, encoding="utf-8")
    return slo.load(folder / "slo.yaml")


def test_an_empty_file_promises_the_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, "") == Slo()


def test_the_committed_file_promises_the_defaults() -> None:
    assert slo.load(Path("grafana/slo.yaml")) == Slo()


def test_every_key_is_read() -> None:
    loaded = slo.load(EVERYTHING)

    assert loaded == Slo(
        promise=OF_ALL,
        promise_by_feature={
            "checkout": Promise(Decimal("0.001"), 5, 1.28, 0.2, 0.05, 0.4),
            "billing-*": Promise(Decimal("0.005"), 10, 2.56, 0.1, 0.01, 1),
            'naïve "shop" \\ (v1.0) [a|b]+ $': Promise(Decimal("0.05"), 10, 2.56, 0.2, 0.05, 0.4),
        },
        min_failed_calls=5,
        teams=(
            Team("payments", ("checkout", "billing-*"), Decimal(2000)),
            Team("search 'n' \"find\"", ("find",)),
        ),
        default_team="platform",
        month_usd=Decimal(5000),
        month_usd_by_feature={"checkout": Decimal("300.50")},
        spend=Spend(spike_ratio=3, spike_usd_per_hour=0.5, new_feature_usd_per_hour=2),
        untagged_ratio=0.2,
        exclusions=(
            Exclusion(1793700000, 1793714400, "checkout", ("cost", "calls")),
            Exclusion(1798070400, 1798326000),
        ),
        links=Links("https://grafana.example.com/", "https://wiki.example.com/spanmeter"),
        job='gate"way',
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("objektive: 99", "objektive: unknown key; did you mean objective?"),
        ("features: {a: {p95: 1}}", "features.a.p95: unknown key; did you mean p95_s?"),
        ("spend: {spike: 2}", "spend.spike: unknown key; did you mean spike_ratio?"),
        (
            "objective: 100",
            "objective: must be over 0 and under 100 percent: nothing may ever fail at 100",
        ),
        ("objective: high", "objective: must be a percentage such as 99.5"),
        ("objective: true", "objective: must be a percentage such as 99.5"),
        (
            "objective: .nan",
            "objective: must be over 0 and under 100 percent: nothing may ever fail at 100",
        ),
        ("teams: {pay$1: {features: [a]}}", "teams.pay$1: must be a name without $, { and }"),
        ("default_team: 'a {{ . }}'", "default_team: must be a name without $, { and }"),
        (
            "p95_s: 15",
            "p95_s: must be a bound of the histogram, "
            "one of 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 40, 60, 80",
        ),
        (
            "features: {a: {p95_s: 120}}",
            "features.a.p95_s: must be a bound of the histogram, "
            "one of 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 40, 60, 80",
        ),
        (
            "teams: {x: {features: [a]}, y: {features: [b, a]}}",
            "teams.y.features: a stands in team x already",
        ),
        ("teams: {x: {features: []}}", "teams.x.features: must not be empty"),
        (
            "exclusions: [{begin: yesterday, end: 2026-11-03}]",
            "exclusions[0].begin: must be a time such as 2026-11-03T10:00Z",
        ),
        (
            "exclusions: [{begin: 2026-11-03, end: 2026-11-03}]",
            "exclusions[0].end: must be after begin",
        ),
        ("- objective: 99", "must be a mapping of keys to values"),
        ("objective: [", "line 1, column 13: not YAML: expected the node content, but found "
         "'<stream end>'"),
        ("objective: 99\nobjective: 98", "line 2: the key objective comes twice"),
        ("cancelled_ratio: 1.1", "cancelled_ratio: must be at most 1"),
        ("min_failed_calls: 0", "min_failed_calls: must be over 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_file_and_key(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, text)

    assert str(raised.value) == f"{tmp_path / 'slo.yaml'}: {problem}"


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, "{objective: 100, p95: 1, teams: {a: {feature: [b]}}}")

    assert len(str(raised.value).splitlines()) == 4
