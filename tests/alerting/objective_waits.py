"""Features whose calls last, or whose callers err, are denied or leave."""

import math

from tests.alerting.objective_world import (
    CALLER,
    CANCELLED,
    CHUNK,
    DENIED,
    FAST,
    GAP,
    LATENCY,
    ONE,
    RESTART,
    TICKET,
    beginning,
    case,
    firing,
    mixed,
    silent,
    taking,
)
from tests.alerting_rules import calls, durations, every_minute, unscraped

from spanmeter_gateway.telemetry import names

WAITS = [
    case(
        "calls that are too slow make a ticket and end",
        "slow",
        taking("slow", {20: 100, 40: 1}, {20: 90, 40: 10}, {20: 100, 40: 1}),
        silent(until="45m"),
        firing("75m", LATENCY, TICKET),
        firing("112m", LATENCY),
        silent(FAST),
    ),
    case(
        "five of a hundred slow calls are quiet",
        "fast",
        taking("fast", *[{20: 95, 40: 4.9}] * 3),
        silent(),
    ),
    case(
        "over five of a hundred slow calls are not",
        "not-fast",
        taking("not-fast", *[{20: 94, 40: 5.5}] * 3),
        firing("60m", LATENCY, TICKET),
    ),
    case(
        "few slow calls give no p95",
        "slow-rare",
        taking("slow-rare", *[{20: 0.1, 40: 1.5}] * 3),
        silent(),
    ),
    case(
        "enough slow calls give one",
        "slow-enough",
        taking("slow-enough", *[{20: 0.1, 40: 2.2}] * 3),
        firing("60m", LATENCY, TICKET),
    ),
    case(
        "one slow call of one is quiet",
        "slow-one",
        (*calls("slow-one", {"ok": ONE}), *durations("slow-one", {math.inf: ONE})),
        silent(),
    ),
    case(
        "a stricter latency is held against the same calls",
        "strict-waits",
        taking("strict-waits", *[{2: 80, 10: 20}] * 3),
        firing("60m", LATENCY, TICKET),
    ),
    case(
        "the same calls are quick enough for others",
        "less-strict",
        taking("less-strict", *[{2: 80, 10: 20}] * 3),
        silent(),
    ),
    case(
        "slow failures are no slow calls",
        "slow-failures",
        (
            *calls("slow-failures", mixed(ok=100, caller_error=20)),
            *durations("slow-failures", {1: [every_minute(120, 100)]}),
            *durations(
                "slow-failures", {120: [every_minute(120, 20)]}, spanmeter_outcome="caller_error"
            ),
        ),
        silent(LATENCY),
    ),
    case(
        "a gap in the scrapes of quick calls is quiet",
        "slow-gap",
        (*calls("slow-gap", GAP), *durations("slow-gap", {1: GAP["ok"]})),
        silent(),
    ),
    case(
        "quick calls whose counters begin again are quiet",
        "slow-restart",
        (
            *calls("slow-restart", RESTART),
            *durations("slow-restart", {1: RESTART["ok"], 40: RESTART["provider_error"]}),
        ),
        silent(),
    ),
    case(
        "a new feature with a few slow calls is quiet",
        "slow-new",
        (
            *calls("slow-new", {"ok": [unscraped(60), every_minute(60, 1)]}),
            *durations("slow-new", {120: [unscraped(60), every_minute(60, 1)]}),
        ),
        silent(),
    ),
    case(
        "late first chunks make a ticket",
        "late",
        beginning("late", {5.12: 80, 10.24: 20}),
        firing("60m", CHUNK, TICKET),
    ),
    case(
        "late first chunks by the older names make a ticket",
        "late-v1_41",
        beginning("late-v1_41", {5.12: 80, 10.24: 20}, names.OPERATION_TIME_TO_FIRST),
        firing("60m", CHUNK, TICKET),
    ),
    case(
        "early first chunks are quiet", "early", beginning("early", {5.12: 99, 10.24: 1}), silent()
    ),
    case(
        "few late first chunks are quiet",
        "late-rare",
        beginning("late-rare", {5.12: 0.1, 10.24: 1.5}),
        silent(),
    ),
    case(
        "a stricter first chunk is held against the same streams",
        "strict-chunks",
        beginning("strict-chunks", {0.64: 80, 2.56: 20}),
        firing("60m", CHUNK, TICKET),
    ),
    case(
        "the same streams begin early enough for others",
        "less-strict-chunks",
        beginning("less-strict-chunks", {0.64: 80, 2.56: 20}),
        silent(),
    ),
]
CALLERS = (
    [
        case(
            f"{alert} fires over its limit and ends",
            f"callers-{outcome}",
            calls(
                f"callers-{outcome}",
                {
                    "ok": [every_minute(40, 100), every_minute(40, 10), every_minute(40, 100)],
                    outcome: [every_minute(40, 0), every_minute(40, 90), every_minute(40, 0)],
                },
            ),
            silent(until="45m"),
            firing("78m", alert, TICKET),
            silent(FAST),
        )
        for alert, outcome in (
            (CALLER, "caller_error"),
            (DENIED, "policy_denied"),
            (CANCELLED, "cancelled"),
        )
    ]
    + [
        case(
            f"{outcome} at {share} percent is quiet by default",
            f"some-{outcome}",
            calls(f"some-{outcome}", mixed(**{"ok": 100 - share, outcome: share})),
            silent(),
        )
        for outcome, share in (("caller_error", 24.5), ("policy_denied", 9.8), ("cancelled", 24.5))
    ]
    + [
        case(
            f"{outcome} at {share} percent is too much for a stricter feature",
            f"strict-{outcome}",
            calls(f"strict-{outcome}", mixed(**{"ok": 100 - share, outcome: share})),
            firing("60m", alert, TICKET),
            silent(FAST),
        )
        for alert, outcome, share in (
            (CALLER, "caller_error", 10.2),
            (DENIED, "policy_denied", 1.2),
            (CANCELLED, "cancelled", 10.2),
        )
    ]
    + [
        case(
            f"few {outcome} are quiet",
            f"few-{outcome}",
            calls(f"few-{outcome}", mixed(**{"ok": 0.2, outcome: 0.6})),
            silent(),
        )
        for outcome in ("caller_error", "policy_denied", "cancelled")
    ]
    + [
        case(
            f"one {outcome} of one is quiet",
            f"one-{outcome}",
            calls(f"one-{outcome}", {outcome: ONE}),
            silent(),
        )
        for outcome in ("caller_error", "policy_denied", "cancelled")
    ]
    + [
        case(
            f"a gap or a counter that begins again brings no {outcome}",
            f"gap-{outcome}",
            (
                *calls(
                    f"gap-{outcome}",
                    {"ok": GAP["ok"], outcome: GAP["provider_error"]},
                    instance="a",
                ),
                *calls(
                    f"gap-{outcome}",
                    {"ok": RESTART["ok"], outcome: RESTART["provider_error"]},
                    instance="b",
                ),
            ),
            silent(),
        )
        for outcome in ("caller_error", "policy_denied", "cancelled")
    ]
    + [
        case(
            f"a new feature with some {outcome} is quiet",
            f"new-{outcome}",
            calls(
                f"new-{outcome}",
                {
                    "ok": [unscraped(60), every_minute(60, 90)],
                    outcome: [unscraped(60), every_minute(3, 9), every_minute(57, 5)],
                },
            ),
            silent(),
        )
        for outcome in ("caller_error", "policy_denied", "cancelled")
    ]
    + [
        case(
            "a limit of 1 is never exceeded",
            "loose-typing",
            calls("loose-typing", mixed(ok=0, cancelled=100)),
            silent(),
        ),
    ]
)
