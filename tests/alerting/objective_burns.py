"""Features whose calls fail, or not: burn rates of the error budget, and the net below them."""

from tests.alerting.objective_world import (
    CALLER,
    CANCELLED,
    DENIED,
    END,
    FAILING,
    FAST,
    FINDERS,
    GAP,
    LATENCY,
    ONE,
    OUTAGE,
    PAGE,
    RESTART,
    SLOW,
    STRANGE,
    STRANGE_LIKE,
    TICKET,
    after_a_healthy_hour,
    case,
    firing,
    mixed,
    silent,
)
from tests.alerting_rules import calls, counter, every_minute, unscraped

from spanmeter_gateway.alerting.promql import FEATURE
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.names import label

BURNS = [
    case(
        "an outage of half of the calls pages and ends",
        "outage",
        calls("outage", OUTAGE),
        silent(until="35m"),
        firing("55m", FAST, PAGE),
        firing("70m", FAST, PAGE),
        firing("100m", FAST),
        silent(f"{FAILING}|{CALLER}|{LATENCY}"),
    ),
    case(
        "healthy traffic is quiet",
        "healthy",
        calls("healthy", mixed(ok=99.7, provider_error=0.3)),
        silent(),
    ),
    case(
        "one failure of one is quiet", "single", calls("single", {"provider_error": ONE}), silent()
    ),
    case(
        "few calls that all fail page nobody and make a ticket",
        "rare",
        calls(
            "rare",
            {
                "ok": [every_minute(120, 0)],
                "gateway_error": [every_minute(45, 0.15), every_minute(75, 0)],
            },
        ),
        silent(FAST),
        firing("40m", FAILING, TICKET),
    ),
    case(
        "few calls of which half fail are quiet but for the slow burn",
        "half-rare",
        calls("half-rare", mixed(ok=0.05, provider_error=0.05)),
        silent(f"{FAST}|{FAILING}"),
    ),
    case(
        "nine failed calls in an hour page nobody",
        "nine",
        calls(
            "nine",
            {
                "ok": [every_minute(120, 0.1)],
                "provider_error": [every_minute(60, 0), every_minute(9, 1), every_minute(51, 0)],
            },
        ),
        silent(FAST),
    ),
    case(
        "twelve failed calls in an hour page",
        "twelve",
        calls(
            "twelve",
            {
                "ok": [every_minute(120, 0.1)],
                "provider_error": [every_minute(60, 0), every_minute(12, 1), every_minute(48, 0)],
            },
        ),
        silent(FAST, until="68m"),
        firing("74m", FAST, PAGE),
    ),
    case("a gap in the scrapes of a healthy feature is quiet", "gap", calls("gap", GAP), silent()),
    case(
        "a gap of 3 minutes neither ends a page nor begins another",
        "gap-in-outage",
        calls(
            "gap-in-outage",
            {
                "ok": [every_minute(60, 50), unscraped(3, 50), every_minute(57, 50)],
                "provider_error": [every_minute(60, 50), unscraped(3, 50), every_minute(57, 50)],
            },
        ),
        *(firing(f"{at}m", FAST, PAGE) for at in range(56, 72, 2)),
    ),
    case("a counter that begins again is quiet", "restart", calls("restart", RESTART), silent()),
    case(
        "a new feature is quiet",
        "new",
        calls(
            "new",
            {
                "ok": [unscraped(60), every_minute(60, 100)],
                "provider_error": [unscraped(60), every_minute(60, 0.5)],
            },
        ),
        silent(),
    ),
    case(
        "a new feature whose first call fails is quiet",
        "new-failed",
        calls(
            "new-failed",
            {
                "ok": [unscraped(60), every_minute(2, 0), every_minute(58, 1)],
                "provider_error": [unscraped(60), every_minute(1, 1), every_minute(59, 0)],
            },
        ),
        silent(f"{FAST}|{FAILING}"),
    ),
    case(
        "a stricter objective pages at what others may fail",
        "strict",
        calls("strict", mixed(ok=97, provider_error=3)),
        firing(END, FAST, PAGE),
    ),
    case(
        "the usual objective does not page at the same share",
        "usual",
        calls("usual", mixed(ok=97, provider_error=3)),
        silent(FAST),
    ),
    case(
        "a looser objective does not page at what others may not fail",
        "loose",
        calls("loose", mixed(ok=50, provider_error=50)),
        silent(FAST),
    ),
    case(
        "an outage pages under an objective that no burn rate exceeds",
        "loose-outage",
        calls("loose-outage", mixed(ok=5, provider_error=95)),
        firing("30m", FAST, PAGE),
    ),
    case(
        "just under 14.4 times the budget in an hour is no page",
        "under-14",
        calls("under-14", after_a_healthy_hour(14.3)),
        silent(FAST),
    ),
    case(
        "just over 14.4 times the budget in an hour is a page",
        "over-14",
        calls("over-14", after_a_healthy_hour(14.5)),
        silent(FAST, until="60m"),
        firing(END, FAST, PAGE),
    ),
    case(
        "a page ends with its burst although the hour is spoilt",
        "burst",
        calls(
            "burst",
            {
                "ok": [every_minute(30, 100), every_minute(1, 0), every_minute(89, 100)],
                "provider_error": [
                    every_minute(30, 0),
                    every_minute(1, 1500),
                    every_minute(89, 0),
                ],
            },
        ),
        firing("35m", FAST, PAGE),
        firing("60m", FAST),
    ),
    case(
        "nine of ten calls that are mistakes, denied or left burn nothing",
        "strange-callers",
        calls("strange-callers", mixed(ok=10, caller_error=30, policy_denied=30, cancelled=30)),
        silent(f"{FAST}|{SLOW}|{FAILING}"),
        firing(END, CALLER, TICKET),
        firing(END, DENIED, TICKET),
        firing(END, CANCELLED, TICKET),
    ),
    case(
        "mistakes, denials and cancellations do not thin out faults",
        "undiluted",
        calls(
            "undiluted",
            mixed(ok=10, provider_error=2, caller_error=300, policy_denied=300, cancelled=300),
        ),
        firing("30m", FAST, PAGE),
    ),
    case(
        "a call that a retry cured burns nothing",
        "cured",
        (
            *calls("cured", mixed(ok=100)),
            counter(
                names.ATTEMPTS.prometheus_name,
                {FEATURE: "cured", label(names.ERROR_TYPE): "503"},
                every_minute(120, 90),
            ),
            counter(names.ATTEMPTS.prometheus_name, {FEATURE: "cured"}, every_minute(120, 100)),
        ),
        silent(),
    ),
    case(
        "faults of the gateway count as those of a provider",
        "ours",
        calls("ours", mixed(ok=80, provider_error=10, gateway_error=10)),
        firing("30m", FAST, PAGE),
    ),
    case(
        "all instances, models and tasks of a feature are one",
        "many",
        (
            *calls("many", mixed(ok=90, provider_error=1), instance="books-1:9464"),
            *calls(
                "many",
                mixed(ok=5, provider_error=7),
                instance="books-2:9464",
                gen_ai_request_model="o4",
            ),
            *calls(
                "many", mixed(ok=5, gateway_error=9), instance="books-2:9464", spanmeter_task="plan"
            ),
        ),
        firing("30m", FAST, PAGE),
    ),
    case(
        "a team is told of the feature that it names",
        "billing",
        calls("billing", mixed(ok=1, provider_error=9)),
        firing("30m", FAST, {"severity": "page", "team": "payments"}),
    ),
    case(
        "a team is told of a feature that its pattern fits",
        "billing-eu.v2",
        calls("billing-eu.v2", mixed(ok=1, provider_error=9)),
        firing("30m", FAST, {"severity": "page", "team": "payments"}),
    ),
    case(
        "a pattern fits whole names only",
        "my-billing-eu",
        calls("my-billing-eu", mixed(ok=1, provider_error=9)),
        firing("30m", FAST, PAGE),
    ),
    case(
        "the first promise that fits holds, pattern or name",
        "strict-not",
        calls("strict-not", mixed(ok=97, provider_error=3)),
        firing(END, FAST, PAGE),
    ),
    case(
        "a name of quotes, backslashes and signs is one name",
        STRANGE,
        calls(STRANGE, mixed(ok=97, provider_error=3)),
        firing(END, FAST, {"severity": "page", "team": FINDERS}),
    ),
    case(
        "a name that a pattern of signs would fit is another",
        STRANGE_LIKE,
        calls(STRANGE_LIKE, mixed(ok=97, provider_error=3)),
        silent(FAST),
    ),
]
NETS = [
    case(
        "an outage that ends with a served call resolves",
        "net",
        calls(
            "net",
            {
                "ok": [every_minute(80, 0), every_minute(40, 0.2)],
                "provider_error": [every_minute(80, 0.1), every_minute(40, 0)],
            },
        ),
        silent(FAILING, until="30m"),
        firing("75m", FAILING, TICKET),
        firing(END, FAILING),
    ),
    case(
        "a served call among failures is no outage",
        "net-served",
        calls("net-served", mixed(ok=0.05, provider_error=0.1)),
        silent(FAILING),
    ),
    case(
        "two failed calls are no outage",
        "net-two",
        calls(
            "net-two",
            {"provider_error": [every_minute(60, 0), every_minute(2, 1), every_minute(58, 0)]},
        ),
        silent(),
    ),
    case(
        "callers' own mistakes are no outage",
        "net-callers",
        calls("net-callers", mixed(ok=0, caller_error=1, cancelled=1)),
        silent(FAILING),
    ),
    case("a gap in the scrapes is no outage", "net-gap", calls("net-gap", GAP), silent(FAILING)),
    case(
        "an idle feature is no outage",
        "net-idle",
        calls(
            "net-idle",
            {
                "ok": [every_minute(40, 1), every_minute(80, 0)],
                "provider_error": [every_minute(120, 0)],
            },
        ),
        silent(),
    ),
]
