import json

import pytest

from spanmeter.usage import Usage
from spanmeter_gateway.demo.traffic import SCENARIOS, Scenario, Traffic
from spanmeter_gateway.metering.prices import PriceBook
from spanmeter_gateway.receipt import Receipt, Trace
from spanmeter_gateway.upstreams.providers import provider_of_model


def _model(scenario: Scenario) -> str:
    name = scenario.path.rsplit("/", 1)[1].partition(":")[0]
    return str(scenario.body.get("model", name))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: str(scenario.feature))
def test_every_scenario_is_answered(provider: str, scenario: Scenario) -> None:
    host, port = provider.removeprefix("http://").split(":")
    calm = Scenario(
        feature=scenario.feature, weight=1, path=scenario.path, body=scenario.body, tags="a:b"
    )

    assert Traffic(host, int(port)).call(calm) == 200


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: str(scenario.feature))
def test_every_scenario_has_a_model_with_a_provider_and_a_price(scenario: Scenario) -> None:
    provider = provider_of_model(_model(scenario))
    assert provider is not None
    is_embeddings = "embeddings" in scenario.path

    bill = PriceBook().bill(
        Receipt(
            call_id="0" * 32,
            started_at_ns=1_760_000_000 * 10**9,
            duration_ns=1,
            outcome="ok",
            provider=provider.name,
            request_model=_model(scenario),
            operation="embeddings" if is_embeddings else "chat",
            usage=Usage(input_tokens=1000, output_tokens=None if is_embeddings else 1000),
            trace=Trace(trace_id="0" * 32, span_id="0" * 16),
        )
    )

    assert (bill.unpriced, (bill.total_nanos or 0) > 0) == (None, True)


def test_the_scenarios_are_of_at_least_six_features_and_three_dialects() -> None:
    features = {scenario.feature for scenario in SCENARIOS}
    paths = {scenario.path.partition("?")[0] for scenario in SCENARIOS}

    assert len(features - {None}) >= 6
    assert len(paths) >= 5
    assert json.dumps([scenario.body for scenario in SCENARIOS])
