"""Where in Grafana an alert leads: the dashboards' uids, as paths under its address."""

OVERVIEW = "/d/spanmeter-overview"
FEATURES = "/d/spanmeter-features"
FEATURE = "/d/spanmeter-feature"
TAGS = "/d/spanmeter-tags"
MODELS = "/d/spanmeter-models"
SLO = "/d/spanmeter-slo"
PIPELINE = "/d/spanmeter-pipeline"


def of_feature(path: str) -> str:
    """Choose the alert's own feature on a dashboard."""
    return f"{path}?var-feature={{{{ $labels.spanmeter_feature | urlquery }}}}"
