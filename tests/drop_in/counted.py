"""What an operator sees of a feature's calls."""

from tests.gateway_process import GatewayProcess


def calls_by_outcome(gateway: GatewayProcess, feature: str, *, count: int = 1) -> dict[str, float]:
    """Wait until so many calls of a feature are counted, and return them by outcome."""
    metrics = gateway.wait_metrics(
        lambda seen: seen.total("spanmeter_calls_total", spanmeter_feature=feature) >= count
    )
    counted = metrics.select("spanmeter_calls_total", spanmeter_feature=feature)
    return {labels["spanmeter_outcome"]: value for labels, value in counted if value}


def tokens_by_class(gateway: GatewayProcess, feature: str) -> dict[str, float]:
    """Return a feature's tokens by class, once its calls are counted."""
    counted = gateway.metrics().select("spanmeter_tokens_total", spanmeter_feature=feature)
    return {labels["spanmeter_token_class"]: value for labels, value in counted if value}
