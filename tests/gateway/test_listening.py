"""The relays' socket where systemd holds it: sd_listen_fds(3)."""

import socket
import subprocess
import sys

import pytest
from tests.programs import free_ports

from spanmeter_gateway.listening import listen

ACTIVATED = """
import os, socket, sys
from spanmeter_gateway.listening import listen
port = int(sys.argv[1])
if sys.argv[2] != "3":
    os.dup2(int(sys.argv[2]), 3)
listener = listen("127.0.0.1", port, {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})
print(listener.fileno(), listener.getsockname()[1])
"""


def activated(held: socket.socket, port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ACTIVATED, str(port), str(held.fileno())],
        pass_fds=[held.fileno()],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_socket_of_systemds_is_taken_instead_of_a_new_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]

        assert activated(held, port).stdout.split() == ["3", str(port)]


def test_a_socket_of_systemds_on_another_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]

        said = activated(held, 1).stderr

    assert f"listen: systemd holds a socket on port {port} for us, and the configuration" in said


def test_a_socket_of_systemds_that_is_no_tcp_socket_is_refused() -> None:
    with socket.socket(socket.AF_UNIX) as held:
        assert "listen: systemd's socket must be a TCP one" in activated(held, 1).stderr


@pytest.mark.parametrize("environ", [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}])
def test_what_was_meant_for_another_process_is_left_alone(environ: dict[str, str]) -> None:
    [port] = free_ports(1)

    with listen("127.0.0.1", port, environ) as listener:
        assert listener.getsockname() == ("127.0.0.1", port)
