from decimal import Decimal
from pathlib import Path

import pytest
import trustme

from spanmeter.attribution import AttributionRules
from spanmeter_gateway.config import Config, GatewayKey, Limits, MetricSwitches, SpoolLimits, Tls
from spanmeter_gateway.config_file import find_file, load
from spanmeter_gateway.errors import ConfigError
from spanmeter_gateway.metering.overrides import PriceOverride
from spanmeter_gateway.upstreams.upstream import Credential, Timeouts, Upstream


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(text: str, environ: dict[str, str] | None = None) -> list[str]:
    """Load a text that must be refused; the lines of the refusal."""
    path = Path("spanmeter.yaml")
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(path, environ or {})
    return str(refused.value).splitlines()


def write_files(folder: Path) -> None:
    """Write the files that `EVERYTHING` names."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    (folder / "secret").write_text("x")


def test_without_a_file_the_gateway_has_its_defaults() -> None:
    config = load(None, {"SPANMETER_WORKERS": "1"})

    assert config == Config(workers=1)


def test_the_defaults_listen_on_loopback_only() -> None:
    config = Config()

    assert (config.url, config.books_url) == ("http://127.0.0.1:8080", "http://127.0.0.1:9464")


def test_every_key_of_the_file_reaches_the_configuration(folder: Path) -> None:
    write_files(folder)
    (folder / "spanmeter.yaml").write_text(EVERYTHING)

    config = load(Path("spanmeter.yaml"), {"HOUSE_KEY": "canary-credential"})

    assert config == Config(
        listen_host="0.0.0.0",
        listen_port=8443,
        books_host="::1",
        books_port=9465,
        workers=3,
        data_dir=Path("/var/lib/spanmeter"),
        upstreams=(
            Upstream(
                name="house",
                provider="house-llm",
                base_url="http://llm.internal:8000/v1",
                credential=Credential("env", "HOUSE_KEY"),
                timeouts=Timeouts(connect_s=3, first_byte_s=30, idle_s=5),
                headers=(("x-team", "search"),),
                openai_root="/api/v1",
                stream_usage=True,
                dialects=("openai", "anthropic"),
                models=("house-",),
                ca_file="ca.pem",
                max_connections=40,
                proxy="http://proxy.internal:3128",
                proxy_login=Credential("env", "HOUSE_KEY"),
                forward_trace=True,
            ),
            Upstream(
                name="azure-eu",
                provider="azure.ai.openai",
                base_url="https://eu.openai.azure.com",
                credential=Credential("file", "secret"),
                openai_root="/openai/v1",
                stream_usage=True,
                api_version="2024-10-21",
            ),
        ),
        default_upstream="house",
        limits=Limits(
            body_bytes=30_000_000,
            held_body_bytes=1 << 29,
            header_bytes=16384,
            max_connections=500,
            connections_per_address=9,
            head_s=5.0,
            body_s=7.5,
        ),
        attribution=AttributionRules(strict=True, bare_tag_key="tag", feature_from_tag=False),
        invalid_provider_detect=True,
        ask_for_usage=False,
        tag_labels=("env", "customer_tier"),
        semconv="both",
        cost_alias=True,
        metrics=MetricSwitches(operation_cost=True),
        prices=(
            PriceOverride(
                provider="gcp.gemini",
                model="house-*",
                input_usd_per_mtok=Decimal("0.1"),
                output_usd_per_mtok=Decimal("2.50"),
                request_usd=Decimal("0.001"),
            ),
        ),
        spool=SpoolLimits(max_bytes=5_000_000, flush_interval_s=0.5),
        drain_s=30,
        reload_on_change=False,
        tls=Tls("cert.pem", "key.pem"),
    )


EVERYTHING = """
listen: :8443
books: {listen: "[::1]:9465"}
workers: 3
data_dir: /var/lib/spanmeter
upstreams:
  house:
    provider: house-llm
    base_url: http://llm.internal:8000/v1/
    credential: env:HOUSE_KEY
    timeouts: {connect_s: 3, first_byte_s: 30, idle_s: 5}
    headers: {X-Team: search}
    openai_root: /api/v1
    stream_usage: true
    dialects: [openai, anthropic]
    models: [house-]
    ca_file: ca.pem
    max_connections: 40
    proxy: http://proxy.internal:3128
    proxy_login: env:HOUSE_KEY
    forward_trace: true
  azure-eu:
    provider: azure
    base_url: https://eu.openai.azure.com
    credential: {file: secret}
    api_version: 2024-10-21
default_upstream: house
well_known_upstreams: false
limits: {body_bytes: 30MB, held_body_bytes: 512MiB, header_bytes: 16384, max_connections: 500,
  connections_per_address: 9, head_s: 5, body_s: 7.5}
attribution: {mode: strict, bare_tag_key: tag, feature_from_tag: false}
invalid_provider: detect
ask_for_usage: false
tags: {labels: [env, customer_tier, env]}
semconv: both
cost_alias: true
metrics: {operation_cost: true}
prices:
  - {provider: gemini, model: house-*, input_usd_per_mtok: 0.1, output_usd_per_mtok: "2.50",
     request_usd: 0.001}
spool: {max_bytes: 5MB, flush_interval_s: 0.5}
drain_s: 30
reload_on_change: false
tls: {cert_file: cert.pem, key_file: key.pem}
"""


def test_a_configuration_survives_its_way_to_another_process(folder: Path) -> None:
    write_files(folder)
    (folder / "spanmeter.yaml").write_text(EVERYTHING)
    config = load(Path("spanmeter.yaml"), {"HOUSE_KEY": "canary-credential"})

    text = config.to_json()

    assert Config.from_json(text) == config
    assert "\n" not in text
    assert "canary" not in text


def test_an_upstream_of_a_well_known_name_replaces_it_and_needs_no_address(folder: Path) -> None:
    Path("spanmeter.yaml").write_text("upstreams: {groq: {credential: env:GROQ_API_KEY}}")

    config = load(Path("spanmeter.yaml"), {"GROQ_API_KEY": "x"})

    assert config.upstreams[0] == Upstream(
        name="groq",
        provider="groq",
        base_url="https://api.groq.com",
        credential=Credential("env", "GROQ_API_KEY"),
        openai_root="/openai/v1",
        stream_usage=True,
    )
    assert [row.name for row in config.upstreams].count("groq") == 1
    assert config.default_upstream == "openai"


def test_an_own_provider_speaks_openais_dialects(folder: Path) -> None:
    Path("spanmeter.yaml").write_text("upstreams: {vllm: {base_url: 'http://gpu:8000'}}")

    config = load(Path("spanmeter.yaml"), {})

    assert config.upstreams[0] == Upstream(
        name="vllm", provider="vllm", base_url="http://gpu:8000", dialects=("openai",)
    )


@pytest.mark.parametrize("written", ["passthrough", "pass-through"])
def test_pass_through_can_be_written_out(folder: Path, written: str) -> None:
    Path("spanmeter.yaml").write_text(f"upstreams: {{openai: {{credential: {written}}}}}")

    config = load(Path("spanmeter.yaml"), {})

    assert config.upstreams[0].credential == Credential()


def test_the_environment_stands_over_the_file(folder: Path) -> None:
    Path("spanmeter.yaml").write_text("{listen: '127.0.0.1:1', workers: 9, data_dir: here}")

    config = load(
        Path("spanmeter.yaml"),
        {
            "SPANMETER_LISTEN": "localhost:8081",
            "SPANMETER_BOOKS_LISTEN": "localhost:9465",
            "SPANMETER_WORKERS": "2",
            "SPANMETER_DATA_DIR": "/data",
        },
    )

    assert config == Config(
        listen_host="localhost",
        listen_port=8081,
        books_host="localhost",
        books_port=9465,
        workers=2,
        data_dir=Path("/data"),
    )


def test_the_option_names_the_file_before_the_environment_and_the_folder(folder: Path) -> None:
    default = folder / "spanmeter.yaml"
    default.touch()
    environ = {"SPANMETER_CONFIG": "other.yaml"}

    found = [
        find_file(Path("mine.yaml"), environ, folder),
        find_file(None, environ, folder),
        find_file(None, {}, folder),
        find_file(None, {}, folder / "elsewhere"),
    ]

    assert found == [Path("mine.yaml"), Path("other.yaml"), Path("spanmeter.yaml"), None]


PROBLEMS = {
    "upstreams: {groq: {base_ur: x}}": (
        "upstreams.groq.base_ur: unknown key; did you mean base_url?"
    ),
    "lisen: x": "lisen: unknown key; did you mean listen?",
    "zzz: 1": "zzz: unknown key",
    "prices: [{model: a, input_usd_per_mtok: 1, output_usd_per_mtok: 1, outptu: 2}]": (
        "prices[0].outptu: unknown key"
    ),
    "listen: '8080'": "listen: must be host:port, such as 127.0.0.1:8080",
    "listen: 8080": "listen: must be host:port, such as 127.0.0.1:8080",
    "listen: 'a:70000'": "listen: the port must be a number from 1 to 65535",
    "listen: '::1:8080'": "listen: an IPv6 address needs brackets, as in [::1]:8080",
    "books: {listen: 9464}": "books.listen: must be host:port, such as 127.0.0.1:9464",
    "books: {listen: '127.0.0.1:8080'}": (
        "books.listen: is the same address as listen; the two need one each"
    ),
    "workers: 0": "workers: must be auto or a whole number from 1 to 256",
    "workers: some": "workers: must be auto or a whole number from 1 to 256",
    "data_dir: ''": "data_dir: must not be empty",
    "upstreams: {a: {}}": (
        "upstreams.a.base_url: is missing: the provider a has no address of its own (these have "
        "one: openai, anthropic, gemini, groq, mistral, deepseek, xai, perplexity, openrouter, "
        "cerebras, together, fireworks, cohere, moonshot, ai21, zai, ollama)"
    ),
    "upstreams: {a/b: {base_url: 'http://h'}}": (
        "upstreams.a/b: a name may hold lower-case letters, digits, '_', '.' and '-' only"
    ),
    "upstreams: {v1beta: {base_url: 'http://h'}}": (
        "upstreams.v1beta: the name is taken: /v1beta is a path of the gateway itself"
    ),
    "upstreams: {readyz: {base_url: 'http://h'}}": (
        "upstreams.readyz: the name is taken: /readyz is a path of the gateway itself"
    ),
    "upstreams: {a: {provider: A B, base_url: 'http://h'}}": (
        "upstreams.a.provider: a name may hold lower-case letters, digits, '_', '.' and '-' only"
    ),
    "upstreams: {a: {base_url: 'ftp://h'}}": (
        "upstreams.a.base_url: must begin with http:// or https://"
    ),
    "upstreams: {a: {base_url: 'https://'}}": (
        "upstreams.a.base_url: must name a host, as in https://llm.example.com"
    ),
    "upstreams: {a: {base_url: 'http://h?a=b'}}": (
        "upstreams.a.base_url: must not have a query or a fragment"
    ),
    "upstreams: {a: {base_url: 'http://h:99999'}}": (
        "upstreams.a.base_url: the port must be a number from 1 to 65535"
    ),
    "upstreams: {a: {base_url: 'http://me:canary@h'}}": (
        "upstreams.a.base_url: must not hold a user name or password; use credential"
    ),
    "upstreams: {openai: {openai_root: v1}}": (
        'upstreams.openai.openai_root: must be a path such as /v1, or "" for none'
    ),
    "upstreams: {openai: {credential: sk-canary}}": (
        "upstreams.openai.credential: must be passthrough, env:NAME or file:PATH; a credential "
        "itself never stands in this file"
    ),
    "upstreams: {openai: {credential: {env: A, file: B}}}": (
        "upstreams.openai.credential: must be passthrough, env:NAME or file:PATH; a credential "
        "itself never stands in this file"
    ),
    "upstreams: {openai: {credential: env:NOT_SET}}": (
        "upstreams.openai.credential: the environment variable NOT_SET is not set"
    ),
    "upstreams: {openai: {credential: file:nowhere}}": (
        "upstreams.openai.credential: cannot read the file that it names: No such file or directory"
    ),
    "upstreams: {openai: {credential: file:/dev/null}}": (
        "upstreams.openai.credential: /dev/null is empty"
    ),
    "gateway_keys: {}": "gateway_keys: must not be empty",
    "gateway_keys: canary": "gateway_keys: must be a mapping of keys to values",
    "gateway_keys: {team: sk-canary}": (
        "gateway_keys.team: must be env:NAME or file:PATH; a key itself never stands in this file"
    ),
    "gateway_keys: {team: passthrough}": (
        "gateway_keys.team: must be env:NAME or file:PATH; a key itself never stands in this file"
    ),
    "gateway_keys: {team: }": (
        "gateway_keys.team: must be env:NAME or file:PATH; a key itself never stands in this file"
    ),
    "gateway_keys: {team: env:NOT_SET}": (
        "gateway_keys.team: the environment variable NOT_SET is not set"
    ),
    "gateway_keys: {team: {file: nowhere}}": (
        "gateway_keys.team: cannot read the file that it names: No such file or directory"
    ),
    "gateway_keys: {Our Team: {file: spanmeter.yaml}}": (
        "gateway_keys.Our Team: a name may hold lower-case letters, digits, '_', '.' and '-' only"
    ),
    "upstreams: {openai: {ca_file: nowhere}}": (
        "upstreams.openai.ca_file: cannot read nowhere: No such file or directory"
    ),
    "upstreams: {openai: {proxy: 'http://me:canary@proxy'}}": (
        "upstreams.openai.proxy: must not hold a user name or password; use proxy_login"
    ),
    "upstreams: {openai: {proxy: 'socks5://proxy'}}": (
        "upstreams.openai.proxy: must begin with http:// or https://: other proxies are not "
        "supported"
    ),
    "upstreams: {openai: {proxy_login: {file: spanmeter.yaml}}}": (
        "upstreams.openai.proxy: must name the proxy that proxy_login is for"
    ),
    "upstreams: {openai: {max_connections: 0}}": (
        "upstreams.openai.max_connections: must be over 0"
    ),
    "upstreams: {openai: {headers: {X-Api-Key: canary}}}": (
        "upstreams.openai.headers.X-Api-Key: carries a secret; use credential, which keeps it out "
        "of here"
    ),
    "upstreams: {openai: {headers: {Host: a}}}": (
        "upstreams.openai.headers.Host: is set by the gateway itself"
    ),
    "upstreams: {openai: {headers: {'a b': c}}}": (
        "upstreams.openai.headers.a b: is not a header name"
    ),
    'upstreams: {openai: {headers: {a: "b\\r\\nc"}}}': (
        "upstreams.openai.headers.a: holds a character that no header may hold"
    ),
    "upstreams: {openai: {timeouts: {connect_s: 0}}}": (
        "upstreams.openai.timeouts.connect_s: must be over 0"
    ),
    "drain_s: 10m": "drain_s: must be a number of seconds",
    "drain_s: .inf": "drain_s: must be a number of seconds",
    "drain_s: -1": "drain_s: must be at least 0",
    "prices: [{model: a, input_usd_per_mtok: -1, output_usd_per_mtok: 1}]": (
        "prices[0].input_usd_per_mtok: must be at least 0"
    ),
    "prices: [{model: a, input_usd_per_mtok: .nan, output_usd_per_mtok: 1}]": (
        "prices[0].input_usd_per_mtok: must be an amount in USD such as 2.50"
    ),
    "upstreams: {openai: {dialects: []}}": "upstreams.openai.dialects: must not be empty",
    "upstreams: {openai: 3}": "upstreams.openai: must be a mapping of keys to values",
    "upstreams: [openai]": "upstreams: must be a mapping of keys to values",
    "upstreams: {1: {}}": "upstreams[1]: must be a text",
    "{default_upstream: gork, well_known_upstreams: false, upstreams: {xai: {}, groq: {}}}": (
        "default_upstream: gork: unknown upstream (these exist: xai, groq)"
    ),
    "{default_upstream: grok, well_known_upstreams: false, upstreams: {xai: {}, groq: {}}}": (
        "default_upstream: grok: unknown upstream; did you mean groq? (these exist: xai, groq)"
    ),
    "well_known_upstreams: false": (
        "upstreams: there is none; name one, or set well_known_upstreams: true"
    ),
    "limits: {body_bytes: lots}": (
        "limits.body_bytes: must be a number of bytes such as 20000000, 20MB or 20MiB"
    ),
    "limits: {max_connections: '5'}": "limits.max_connections: must be a whole number",
    "limits: {connections_per_address: 0}": ("limits.connections_per_address: must be over 0"),
    "limits: {head_s: 0}": "limits.head_s: must be over 0",
    "limits: {body_s: .inf}": "limits.body_s: must be a number of seconds",
    "attribution: {mode: harsh}": "attribution.mode: must be 'lenient' or 'strict'",
    "attribution: {bare_tag_key: 'a b'}": (
        "attribution.bare_tag_key: 'a b' cannot be a tag's key: 1-64 characters of "
        "a-z A-Z 0-9 . _ -, ends alphanumeric"
    ),
    "ask_for_usage: perhaps": "ask_for_usage: must be true or false",
    "tags: {labels: [env, -env]}": (
        "tags.labels[1]: '-env' cannot be a tag's key: 1-64 characters of a-z A-Z 0-9 . _ -, "
        "ends alphanumeric"
    ),
    "tags: {labels: [cost-center, cost_center]}": (
        "tags.labels[1]: cost_center and cost-center are one Prometheus label"
    ),
    "semconv: newest": "semconv: must be 'latest', 'v1_41' or 'both'",
    "semconv: 1.41": "semconv: must be 'latest', 'v1_41' or 'both'",
    "metrics: {operation_cost: some}": "metrics.operation_cost: must be true or false",
    "metrics: {operation_costs: true}": (
        "metrics.operation_costs: unknown key; did you mean operation_cost?"
    ),
    "prices: [{model: a, output_usd_per_mtok: 1}]": "prices[0].input_usd_per_mtok: is missing",
    "prices: [{model: a, input_usd_per_mtok: cheap, output_usd_per_mtok: 1}]": (
        "prices[0].input_usd_per_mtok: must be an amount in USD such as 2.50"
    ),
    "prices: [{model: a, input_usd_per_mtok: true, output_usd_per_mtok: 1}]": (
        "prices[0].input_usd_per_mtok: must be an amount in USD such as 2.50"
    ),
    "tls: {cert_file: a}": "tls.key_file: is missing",
    "listen: 'a: b": "line 1, column 14: not YAML: found unexpected end of stream",
    "{listen: 'a:1', listen: 'b:1'}": "line 1: the key listen comes twice",
    "drain_s: !!float soon": "line 1: this is no valid float",
    "a: 1\n? !!float": "line 2: this is no valid float",
    "drain_s: !!timestamp soon": "line 1: this is no valid timestamp",
    "workers: 0b_": "line 1: this is no valid int",
    "upstreams: {null: {base_url: 'http://a'}}": "upstreams.None: must be a text",
    "upstreams: {x: {base_url: 'http://[::1'}}": (
        "upstreams.x.base_url: must name a host, as in https://llm.example.com"
    ),
    "? [listen]\n: a": "line 1, column 3: not YAML: found unhashable key",
    "- listen": "must be a mapping of keys to values",
    "listen: \x00": "not YAML: it holds a character that no text may hold",
}


@pytest.mark.parametrize(("text", "problem"), PROBLEMS.items(), ids=range(len(PROBLEMS)))
def test_a_mistake_is_named_by_file_key_and_remedy(folder: Path, text: str, problem: str) -> None:
    assert problems(text) == [f"spanmeter.yaml: {problem}"]


def test_all_mistakes_are_told_at_once_whatever_their_kind(folder: Path) -> None:
    found = problems(
        "workers: 0\n"
        "upstreams:\n"
        "  groq: {base_ur: x}\n"
        "  openai: {credential: env:NOT_SET}\n"
        "default_upstream: nobody\n"
        "prices: [{model: a}]\n"
    )

    assert found == [
        "spanmeter.yaml: workers: must be auto or a whole number from 1 to 256",
        "spanmeter.yaml: upstreams.groq.base_ur: unknown key; did you mean base_url?",
        "spanmeter.yaml: prices[0].input_usd_per_mtok: is missing",
        "spanmeter.yaml: prices[0].output_usd_per_mtok: is missing",
        "spanmeter.yaml: upstreams.openai.credential: the environment variable NOT_SET is not set",
    ]


def test_a_mistake_in_a_variable_names_the_variable(folder: Path) -> None:
    found = problems("workers: 2", {"SPANMETER_WORKERS": "many", "SPANMETER_LISTEN": "here"})

    assert found == [
        "environment: SPANMETER_WORKERS: must be auto or a whole number from 1 to 256",
        "environment: SPANMETER_LISTEN: must be host:port, such as 127.0.0.1:8080",
    ]


def test_a_wrong_sampler_is_told_beside_everything_else(folder: Path) -> None:
    environ = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "10%"}

    found = problems("cost_alias: 1", environ)

    assert found == [
        "environment: OTEL_TRACES_SAMPLER_ARG: '10%' is no ratio: use a number from 0 to 1, such "
        "as 0.25",
        "spanmeter.yaml: cost_alias: must be true or false",
    ]


def test_what_is_wrong_about_otlp_is_told_beside_everything_else(folder: Path) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318", "SPANMETER_WORKERS": "many"}

    found = problems("", environ)

    assert found == [
        "environment: OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' is not a URL such as "
        "http://collector:4318",
        "environment: SPANMETER_WORKERS: must be auto or a whole number from 1 to 256",
    ]


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(Path("nowhere.yaml"), {})

    assert str(refused.value) == "nowhere.yaml: cannot be read: No such file or directory"


def test_a_file_that_is_no_text_is_refused(folder: Path) -> None:
    Path("spanmeter.yaml").write_bytes(b"\xff\xfe\xff")

    with pytest.raises(ConfigError) as refused:
        load(Path("spanmeter.yaml"), {})

    assert str(refused.value) == "spanmeter.yaml: is not UTF-8 text"


def test_no_message_repeats_a_secret_that_was_written_in_the_wrong_place(folder: Path) -> None:
    found = problems(
        "upstreams:\n"
        "  openai: {credential: canary-1, headers: {authorization: canary-2}}\n"
        "  a: {base_url: 'http://u:canary-3@h?key=canary-4'}\n"
        "limits: canary-5\n"
    )

    assert [line for line in found if "canary" in line] == []


def test_gateway_keys_are_named_in_order_and_their_secrets_stay_where_they_are(
    folder: Path,
) -> None:
    Path("key").write_text("canary-two")
    Path("spanmeter.yaml").write_text("gateway_keys: {team: env:TEAM_KEY, batch: {file: key}}")

    config = load(Path("spanmeter.yaml"), {"TEAM_KEY": "canary-one"})

    assert config.gateway_keys == (
        GatewayKey("team", Credential("env", "TEAM_KEY")),
        GatewayKey("batch", Credential("file", "key")),
    )
    assert Config.from_json(config.to_json()) == config
    assert "canary" not in config.to_json()


def test_two_names_of_one_secret_are_both_named(folder: Path) -> None:
    Path("spool").write_text("x")

    found = problems(
        "gateway_keys: {a: env:K, b: {file: spool}, c: {env: K}, d: file:spool}", {"K": "canary"}
    )

    assert found == [
        "spanmeter.yaml: gateway_keys.c: is the environment variable K, as is gateway_keys.a; "
        "each needs its own secret",
        "spanmeter.yaml: gateway_keys.d: is the file that it names, as is gateway_keys.b; each "
        "needs its own secret",
    ]


def test_a_price_is_the_decimal_that_was_written(folder: Path) -> None:
    Path("spanmeter.yaml").write_text(
        "prices: [{model: m, input_usd_per_mtok: 0.15, output_usd_per_mtok: 1}]"
    )

    config = load(Path("spanmeter.yaml"), {})

    assert config.prices[0].input_usd_per_mtok == Decimal("0.15")


def test_an_unspecified_host_is_shown_as_one_that_a_client_can_use() -> None:
    config = Config(listen_host="0.0.0.0", books_host="::", tls=Tls("a", "b"))

    assert (config.url, config.books_url) == ("https://127.0.0.1:8080", "http://[::1]:9464")
    assert config.listen_url == "https://0.0.0.0:8080"
    assert config.books_listen_url == "http://[::]:9464"
