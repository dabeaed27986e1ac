"""The values from which panels change colour: those of the alerts, by `slo.yaml`'s defaults."""

from spanmeter_gateway.alerting.anomalies import SIGMAS
from spanmeter_gateway.alerting.anomaly_alert import LEVELS
from spanmeter_gateway.alerting.features import BEHIND_S
from spanmeter_gateway.alerting.objectives import FAST, SLOW
from spanmeter_gateway.alerting.pipeline import FULL_RATIO
from spanmeter_gateway.alerting.slo import Slo
from spanmeter_gateway.telemetry.budgets import Budgets
from spanmeter_gateway.telemetry.governor import NEW_BREAKDOWN_PERCENT

_SLO = Slo()
ERROR_RATIO = float(_SLO.promise.error_budget)
P95_S = _SLO.promise.p95_s
FIRST_CHUNK_P95_S = _SLO.promise.first_chunk_p95_s
UNTAGGED_RATIO = _SLO.untagged_ratio
BURN_TICKET = min(burn.factor for burn in SLOW)
BURN_PAGE = min(burn.factor for burn in FAST)
"""In multiples of the rate that spends the error budget of 30 days in 30 days."""
BURN_1H, BURN_6H = (burn.factor for burn in FAST)
BURN_1D, BURN_3D = (burn.factor for burn in SLOW)
"""By the longer window of each alert, which says that it matters."""
SIGMA_WARNING, SIGMA_HIGH, SIGMA_CRITICAL = (SIGMAS + place for place in range(len(LEVELS)))
BOOKS_LAG_S = BEHIND_S
QUEUE_RATIO = FULL_RATIO
SERIES_RATIO = NEW_BREAKDOWN_PERCENT[0] / 100
LABEL_VALUES_RATIO = Budgets().at_sight_percent / 100
"""Where the governor begins to fold: docs/operations.md, "Too many label values"."""
# When the overview hints at the header: a large share, and of enough calls to mean something.
UNTAGGED_HINT_RATIO = 0.2
UNTAGGED_HINT_CALLS = 100
