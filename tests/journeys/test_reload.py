"""A new configuration in a running gateway: nothing is dropped, and a bad one changes nothing."""

import ssl
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from tests import processes, reloads
from tests.fakes.raw_client import RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.traffic import CHAT, MESSAGE, PLAIN, REFUSED, STREAMED, EndlessStream, Traffic, call

KINDS = (PLAIN, STREAMED, MESSAGE, REFUSED)


@pytest.fixture
def credential(tmp_path: Path) -> Path:
    reloads.secret(tmp_path / "credential", "first-secret")
    return tmp_path / "credential"


@pytest.fixture
def gateway(provider: ReplayProvider, credential: Path) -> Iterator[GatewayProcess]:
    here = {"provider": "openai", "base_url": provider.base_url}
    upstreams = {
        "openai": here | {"credential": {"file": str(credential)}},
        "anthropic": here | {"provider": "anthropic"},
    }
    settings = {"reload_on_change": False, "drain_s": 20}
    with GatewayProcess(upstreams=upstreams, settings=settings) as running:
        yield running


@pytest.fixture
def name() -> str:
    return f"r{uuid.uuid4().hex[:8]}"


def shown_certificate(url: str) -> bytes:
    """Connect, and return the certificate that the gateway shows."""
    address = urlsplit(url)
    pem = ssl.get_server_certificate((str(address.hostname), int(address.port or 0)))
    return ssl.PEM_cert_to_DER_cert(pem)


def seen_credential(gateway: GatewayProcess, provider: ReplayProvider) -> str:
    """Make a call, and return the credential that went upstream with it."""
    key = uuid.uuid4().hex
    with RawClient(gateway.url) as client:
        client.call(CHAT, PLAIN.body, headers=[("x-script", "chat"), ("x-replay-key", key)])
    return provider.take(key).header("authorization")


def upstreams_with(gateway: GatewayProcess, **changed: object) -> dict[str, object]:
    here = gateway.config["upstreams"]
    return {"upstreams": here | {"openai": here["openai"] | changed}}


def test_reloads_under_traffic_break_no_call_and_no_stream_and_count_each_once(
    gateway: GatewayProcess, provider: ReplayProvider, name: str
) -> None:
    with (
        Traffic(gateway.url, name, kinds=KINDS, clients=3, pause_s=0.005) as traffic,
        EndlessStream(gateway.url, f"{name}-stream", name) as stream,
        ReplayProvider() as other,
    ):
        stream.wait_chunks(1)
        for workers in (2, 1):
            traffic.wait_more(20)
            reloads.reload(gateway, {"workers": workers})
        traffic.wait_more(20)
        reloads.reload(gateway, upstreams_with(gateway, base_url=other.base_url))
        traffic.wait_more(40)
        calls_of_other = len(other.received)
        reloads.reload(gateway, upstreams_with(gateway, base_url=provider.base_url))
        traffic.wait_more(20)
        stream.wait_chunks(stream.chunks + 2)

    assert traffic.broken == []
    assert calls_of_other > 0
    assert not stream.is_broken
    calls = len(traffic.made) + 1
    metrics = gateway.wait_metrics(lambda seen: seen.total("spanmeter_calls_total") >= calls)
    assert metrics.by("spanmeter_calls_total", "spanmeter_outcome") == {
        "ok": sum(made.kind.status == 200 for made in traffic.made),
        "caller_error": sum(made.kind.status == 400 for made in traffic.made),
        "cancelled": 1,
    }
    assert metrics.by("spanmeter_config_reloads_total", "result") == {"ok": 4}


def test_a_changed_credential_goes_with_the_next_call_when_its_file_changes(
    gateway: GatewayProcess, provider: ReplayProvider, credential: Path
) -> None:
    reloads.reload(gateway, {"reload_on_change": True})
    assert seen_credential(gateway, provider) == "Bearer first-secret"

    reloads.secret(credential, "second-secret")
    gateway.wait_metrics(lambda seen: seen.total("spanmeter_config_generation") == 3)

    assert seen_credential(gateway, provider) == "Bearer second-secret"


def test_a_bad_file_is_refused_with_its_keys_and_the_old_one_stays(
    gateway: GatewayProcess, provider: ReplayProvider
) -> None:
    reloads.write(gateway, {"workers": 0, "listne": "x"} | upstreams_with(gateway, base_url="x"))
    reloads.ask(gateway)
    metrics = reloads.wait_refused(gateway)

    assert metrics.total("spanmeter_config_last_reload_successful") == 0
    assert metrics.total("spanmeter_config_generation") == 1
    assert seen_credential(gateway, provider) == "Bearer first-secret"
    file = gateway.folder / "spanmeter.yaml"
    said = [line.partition("stays: ")[2] for line in gateway.errors.splitlines() if "stays" in line]
    assert [line.partition(": ")[0] for line in said] == [str(file)] * len(said)
    assert {line.split(": ")[1] for line in said} == {
        "workers", "listne", "upstreams.openai.base_url",
    }  # fmt: skip


def test_what_cannot_change_refuses_the_whole_reload_and_says_what_to_do(
    gateway: GatewayProcess, provider: ReplayProvider, credential: Path
) -> None:
    listen = gateway.config["listen"]
    reloads.secret(credential, "second-secret")
    reloads.write(gateway, {"listen": "127.0.0.1:1"})
    reloads.ask(gateway)
    reloads.wait_refused(gateway)

    assert f"listen: is {listen} and cannot become 127.0.0.1:1 while" in gateway.errors
    assert seen_credential(gateway, provider) == "Bearer first-secret"


def test_what_a_relay_cannot_use_is_refused_for_all_of_them(
    gateway: GatewayProcess, provider: ReplayProvider, tmp_path: Path
) -> None:
    keys = {name: reloads.secret(tmp_path / name, "the-same") for name in ("shop", "search")}
    reloads.reload(gateway, {"workers": 2})
    reloads.write(gateway, {"gateway_keys": keys})
    reloads.ask(gateway)
    reloads.wait_refused(gateway)
    answers = [seen_credential(gateway, provider) for _ in range(4)]

    assert answers == ["Bearer first-secret"] * 4
    assert "shop and search have the same secret" in gateway.errors

    reloads.secret(tmp_path / "shop", "another")
    metrics = reloads.reload(gateway, {})

    assert metrics.total("spanmeter_config_last_reload_successful") == 1
    with RawClient(gateway.url) as client:
        assert client.call(CHAT, PLAIN.body).status == 401


def test_a_refused_file_is_good_as_soon_as_what_it_names_is_there(
    gateway: GatewayProcess, provider: ReplayProvider, tmp_path: Path
) -> None:
    late = tmp_path / "late"
    reloads.reload(gateway, {"reload_on_change": True})
    reloads.write(gateway, upstreams_with(gateway, credential={"file": str(late)}))
    reloads.wait_refused(gateway)

    reloads.secret(late, "late-secret")
    gateway.wait_metrics(lambda seen: seen.total("spanmeter_config_last_reload_successful") == 1)

    assert seen_credential(gateway, provider) == "Bearer late-secret"


def test_a_relay_that_is_killed_comes_back_with_the_configuration_in_force(
    gateway: GatewayProcess, provider: ReplayProvider, credential: Path
) -> None:
    reloads.secret(credential, "second-secret")
    reloads.reload(gateway, {})

    processes.kill(processes.relays(gateway)[0])

    assert seen_credential(gateway, provider) == "Bearer second-secret"


def test_books_are_renewed_for_what_they_read_and_lose_nothing(
    gateway: GatewayProcess, name: str
) -> None:
    books = processes.books(gateway)
    with Traffic(gateway.url, name, kinds=(PLAIN,), clients=2, pause_s=0.01) as traffic:
        traffic.wait_more(10)
        before = gateway.metrics()
        reloads.write(gateway, {"metrics": {"operation_cost": True}})
        reloads.ask(gateway)
        processes.wait_until(lambda: not processes.is_running(books))
        processes.wait_until(lambda: processes.is_answering(f"{gateway.books_url}/healthz"))
        traffic.wait_more(10)

    assert traffic.broken == []
    calls = len(traffic.made)
    metrics = gateway.wait_metrics(lambda seen: seen.total("spanmeter_calls_total") >= calls)
    assert metrics.total("spanmeter_calls_total") == calls
    assert before.select("spanmeter_operation_cost_usd_count") == []
    assert metrics.total("spanmeter_operation_cost_usd_count") > 0
    assert metrics.by("spanmeter_config_reloads_total", "result") == {"ok": 1}


def test_an_idle_connection_to_an_upstream_outlives_a_reload_that_does_not_touch_it(
    gateway: GatewayProcess, name: str
) -> None:
    with ReplayProvider() as other, RawClient(gateway.url) as client:
        here = {"provider": "openai", "base_url": other.base_url}
        reloads.reload(gateway, {"upstreams": gateway.config["upstreams"] | {"openai": here}})
        call(client, PLAIN, name, "1")
        reloads.reload(gateway, {"limits": {"body_bytes": 1000}})
        call(client, PLAIN, name, "2")
        connections = other.connections
        large = client.call(CHAT, b"x" * 1001)

    assert connections == 1
    assert large.status == 413


def test_a_new_certificate_is_shown_to_new_connections_and_old_ones_stay(
    provider: ReplayProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = {"cert_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}

    def issue() -> bytes:
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(tls["key_file"])
        issued.cert_chain_pems[0].write_to_path(tls["cert_file"])
        return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())

    certificates = [issue()]
    here = {"provider": "openai", "base_url": provider.base_url}
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    settings = {"tls": tls, "reload_on_change": False}
    gateway = GatewayProcess(upstreams={"openai": here}, settings=settings)
    gateway.url = gateway.url.replace("http:", "https:")
    with gateway, EndlessStream(gateway.url, "tls", "1") as stream:
        stream.wait_chunks(1)
        first = shown_certificate(gateway.url)
        certificates.append(issue())
        reloads.reload(gateway, {})
        second = shown_certificate(gateway.url)
        stream.wait_chunks(stream.chunks + 2)

        assert [first, second] == certificates
        assert not stream.is_broken
