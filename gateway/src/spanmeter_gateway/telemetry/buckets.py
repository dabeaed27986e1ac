"""The bounds of the histograms' buckets, each in its metric's unit, and where they come from.

GENAI and HTTP are the pages that `names` cites.
"""

# GENAI gen-ai-metrics.md, and two more: long reasoning calls last beyond its 82 s.
GENAI_SECONDS = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
    163.84, 327.68,
)  # fmt: skip
# GENAI gen-ai-token-metrics.md: powers of 4.
GENAI_TOKENS = tuple(float(4**power) for power in range(14))
# HTTP http-metrics.md.
HTTP_SECONDS = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
COST_USD = (1e-05, 1e-04, 5e-04, 1e-03, 5e-03, 1e-02, 5e-02, 0.1, 0.5, 1.0, 5.0)
# What a caller waits: 0.1 to 120 s, with a bound exactly at the latency alert's 20 s and at the
# thresholds of the shipped Collector's samplers, or a quantile would be interpolated across them.
WAIT_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 80.0, 120.0)
