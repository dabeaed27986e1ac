"""An application whose calls go to the pretend provider, known by the name `openai`."""

from collections.abc import Iterator

import pytest
from tests.fakes.replay_provider import ReplayProvider
from tests.in_app.direct.application import Application, hooked


@pytest.fixture
def application(provider: ReplayProvider) -> Iterator[Application]:
    with hooked(Application(provider.base_url)) as running:
        yield running
