import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn

from spanmeter_gateway.demo.provider import Provider


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """The pretend provider on a port of its own, without its pauses."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(Provider(pace=0), log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()
