"""How many faults were tried, and how many survived: told at the end of a run."""

import pytest

TALLY = pytest.StashKey[dict[str, tuple[int, int]]]()


@pytest.fixture(scope="session")
def fault_counts(request: pytest.FixtureRequest) -> dict[str, tuple[int, int]]:
    """Faults tried and survived, by what was tried."""
    return request.config.stash.setdefault(TALLY, {})


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the counts."""
    for what, (tried, survived) in config.stash.get(TALLY, {}).items():
        terminalreporter.write_line(f"{what}: {tried} faults tried, {survived} survived")
