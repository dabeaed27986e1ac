"""One run for all tests of this folder."""

import pytest
from tests.conformance.run import Findings, run


@pytest.fixture(scope="session")
def findings() -> Findings:
    return run()
