"""The bounds of the gateway's own histograms, each in its metric's unit, and where they come from.

HTTP is the pages that `names` cites; the GenAI metrics' are in `spanmeter.genai_metrics`.
"""

# HTTP http-metrics.md.
HTTP_SECONDS = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
COST_USD = (1e-05, 1e-04, 5e-04, 1e-03, 5e-03, 1e-02, 5e-02, 0.1, 0.5, 1.0, 5.0)
# What a caller waits: 0.1 to 120 s, with a bound exactly at the latency alert's 20 s and at the
# thresholds of the shipped Collector's samplers, or a quantile would be interpolated across them.
WAIT_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 80.0, 120.0)
