"""The commands of the demonstration's services, run here instead of in containers."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import yaml
from tests.dashboards.test_compose import FOLDER, stack
from tests.gateway_process import GatewayProcess
from tests.processes import is_answering, wait_until
from tests.programs import free_ports


def command(service: str, **changed: str) -> list[str]:
    """Take a service's command, with this machine's addresses and Python."""
    words = [changed.get(word, word) for word in stack()["services"][service]["command"]]
    is_python = words[0] == "python3"
    return [sys.executable, *(words[1:] if is_python else ["-m", *words])]


@contextmanager
def running(argv: Sequence[str]) -> Iterator[None]:
    process = subprocess.Popen(argv)
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(60) in {0, -15}


def test_pretend_provider_gateway_and_traffic_make_calls_of_every_kind() -> None:
    [port] = free_ports(1)
    config = yaml.safe_load((FOLDER / "spanmeter.demo.yaml").read_text())
    address = f"http://127.0.0.1:{port}"
    upstreams = {name: {"base_url": address} for name in config["upstreams"]}
    provider = command("demo-provider", **{"0.0.0.0": "127.0.0.1", "9000": str(port)})

    with running(provider), GatewayProcess(upstreams=upstreams) as gateway:
        wait_until(lambda: is_answering(f"{address}/v1/models"))
        host, gateway_port = gateway.url.removeprefix("http://").split(":")
        with running(command("demo-traffic", **{"gateway": host, "8080": gateway_port})):
            counted = gateway.wait_metrics(
                lambda metrics: len(metrics.by("spanmeter_calls_total", "spanmeter_feature")) >= 6,
                timeout_s=60,
            )
    providers = counted.by("spanmeter_calls_total", "gen_ai_provider_name")
    assert {each["base_url"] for each in config["upstreams"].values()} == {
        "http://demo-provider:9000"
    }
    assert {"openai", "anthropic", "gcp.gemini"} <= providers.keys()
