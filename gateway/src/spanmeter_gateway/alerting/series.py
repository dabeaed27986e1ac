"""Every series that the rules record, by name: `level:metric:operation`, as Prometheus advises.

Source of the pattern: Prometheus documentation, "Recording rules". Dashboards read them, too.
"""

# What a feature is called for, does and costs, over the last 5 minutes.
CALLS_RATE_5M = "feature:spanmeter_calls:rate5m"
OUTCOME_RATE_5M = "feature_outcome:spanmeter_calls:rate5m"
ELIGIBLE_RATE_5M = "feature:spanmeter_eligible_calls:rate5m"
"""What an objective speaks of: calls served, or failed by the provider's or the gateway's fault."""
FAULTS_RATE_5M = "feature:spanmeter_faults:rate5m"
FAULTS_1H = "feature:spanmeter_faults:increase1h"
ELIGIBLE_1H = "feature:spanmeter_eligible_calls:increase1h"
COST_RATE_5M = "feature:spanmeter_cost_usd:rate5m"
COST_RATE_1H = "feature:spanmeter_cost_usd:rate1h"
MODELS_RATE_5M = "feature_models:gen_ai_attempts:rate5m"
"""By the model that was asked for and the one that answered, where both are known."""
CALL_P95_10M = "feature:spanmeter_call_duration_seconds:p95_10m"
FIRST_CHUNK_P95_10M = "feature:spanmeter_first_chunk_seconds:p95_10m"

# What is promised, and who is told.
TEAM_INFO = "feature:spanmeter_team:info"
ERROR_BUDGET = "feature:spanmeter_error_budget:ratio"
BUDGET_LEFT = "feature:spanmeter_error_budget:remaining_ratio"
"""Of the last 30 days; negative when it is overspent."""
CALL_OBJECTIVE = "feature:spanmeter_call_duration_objective:seconds"
FIRST_CHUNK_OBJECTIVE = "feature:spanmeter_first_chunk_objective:seconds"
OUTCOME_LIMIT = "feature_outcome:spanmeter_calls_limit:ratio"
"""What share of all calls may end in an outcome that is nobody's fault on our side."""

# Money of this calendar month, by scope (`all`, `team`, `feature`) and name.
COST_TOTAL = "feature_instance:spanmeter_cost_usd:sum"
COST_BY_MONTH = "feature_month:spanmeter_cost_usd:increase5m"
MONTH_TO_DATE = "feature:spanmeter_cost_usd:month_to_date"
COST_RATE_7D = "feature:spanmeter_cost_usd:rate7d"
MONTH_BUDGET = "scope:spanmeter_month_budget_usd:limit"
MONTH_SPENT = "scope:spanmeter_cost_usd:month_to_date"
MONTH_FORECAST = "scope:spanmeter_cost_usd:month_forecast"

# Calls whose cost is not known.
UNPRICED_RATE_5M = "provider_model_reason:spanmeter_unpriced_calls:rate5m"
UNMETERED_RATE_5M = "feature_reason:spanmeter_unmetered_calls:rate5m"

# Anomalies, by `anomaly` (cost, latency, errors, calls, drift), `scope` (all, feature) and feature.
ANOMALY_VALUE = "spanmeter_anomaly:value"
ANOMALY_VOLUME = "spanmeter_anomaly:calls"
ANOMALY_CLEAN = "spanmeter_anomaly:clean_value"
ANOMALY_MEAN = "spanmeter_anomaly:baseline_mean"
ANOMALY_STDDEV = "spanmeter_anomaly:baseline_stddev"
ANOMALY_SEASON_HIGH = "spanmeter_anomaly:season_high"
ANOMALY_SEASON_LOW = "spanmeter_anomaly:season_low"
"""The extremes of about this time of each of the last seven days."""
ANOMALY_SEASON_MEAN = "spanmeter_anomaly:season_mean"
ANOMALY_SEASON_STDDEV = "spanmeter_anomaly:season_stddev"
"""Of the means of these days."""
ANOMALY_SIGMA = "spanmeter_anomaly:sigma"
ANOMALY_BREACH = "spanmeter_anomaly:breach"
ANOMALY_LEVEL = "spanmeter_anomaly:level"
ANOMALY_EXCLUDED = "spanmeter_anomaly:excluded"
ANOMALY_WARM_UP = "spanmeter_anomaly:warm_up_hours"
ANOMALY = "ANOMALY"
"""1 while an anomaly is open: what charts mark."""

# For dashboards over long ranges: counters by instance, read by their growth (`sums`).
SUM_CALLS = "tagged_instance:spanmeter_calls:sum"
"""By everything that dashboards filter by: feature, task, provider, model, tags."""
SUM_ELIGIBLE = "tagged_instance:spanmeter_eligible_calls:sum"
SUM_FAULTS = "tagged_instance:spanmeter_faults:sum"
SUM_COST = "tagged_instance:spanmeter_cost_usd:sum"
SUM_TOKENS = "tagged_instance:spanmeter_tokens:sum"
SUM_INPUT = "tagged_instance:spanmeter_input_tokens:sum"
SUM_OUTPUT = "tagged_instance:spanmeter_output_tokens:sum"
SUM_CACHE_READ = "tagged_instance:spanmeter_cache_read_tokens:sum"
SUM_ATTEMPTS = "tagged_instance:spanmeter_attempts:sum"
SUM_WAITS_BY_FEATURE = "feature_instance:spanmeter_call_duration_seconds_bucket:sum"
SUM_WAITS_BY_MODEL = "provider_model_instance:spanmeter_call_duration_seconds_bucket:sum"
"""Of calls that went well, as the next one."""
SUM_WAIT_SECONDS = "feature_instance:spanmeter_call_duration_seconds_sum:sum"
SUM_FIRST_CHUNKS = "provider_model_instance:spanmeter_first_chunk_seconds_bucket:sum"
SUM_ANSWERS = "provider_models_instance:gen_ai_attempts:sum"
"""By the model that was asked for and the one that answered."""
SUM_CALL_ERRORS = "provider_error_instance:spanmeter_calls:sum"
SUM_ATTEMPT_ERRORS = "provider_error_instance:spanmeter_attempts:sum"
SUM_UNPRICED = "provider_model_reason_instance:spanmeter_unpriced_calls:sum"
SUM_UNMETERED = "provider_model_reason_instance:spanmeter_unmetered_calls:sum"
SUMS_RECORDED = "spanmeter:sums:recorded"
"""There wherever a gateway is scraped and these rules are loaded."""

BOOKS_BEHIND = "spanmeter:books:behind"
"""There while the books enter a backlog, else absent."""


def fault_ratio(window: str) -> str:
    """Name the share of eligible calls that failed over a window: `5m`, `1h`, `3d`, `30d`."""
    return f"feature:spanmeter_faults:ratio_rate{window}"


def seldom(record: str) -> str:
    """Name the copy of a sum for ranges of many days: fewer samples."""
    return f"{record}_each_15m"
