"""The sockets that callers reach: bound here, or handed to us by systemd; refused in words."""

import errno
import os
import socket
from collections.abc import Mapping

from spanmeter_gateway.errors import StartError

BACKLOG = 2048
"""Connections that wait while all relays are busy or restarting; uvicorn's default too."""
_FIRST_FD = 3  # sd_listen_fds(3), SD_LISTEN_FDS_START


def listen(host: str, port: int, environ: Mapping[str, str]) -> socket.socket:
    """Listen on the relays' address, with systemd's socket where it holds one for us.

    Raises `StartError`, also where systemd's has another port than the configuration.
    """
    listener = _activated(environ) or bind(host, port, "listen")
    bound_port = listener.getsockname()[1]
    if bound_port != port:
        listener.close()
        raise StartError(
            f"listen: systemd holds a socket on port {bound_port} for us, and the configuration "
            f"says {port}: give both the same"
        )
    listener.listen(BACKLOG)
    return listener


def _activated(environ: Mapping[str, str]) -> socket.socket | None:
    """Take the socket that systemd opened for this very process: sd_listen_fds(3)."""
    if environ.get("LISTEN_PID") != str(os.getpid()) or environ.get("LISTEN_FDS", "0") == "0":
        return None
    try:
        listener = socket.socket(fileno=_FIRST_FD)
        is_ours = listener.family in (socket.AF_INET, socket.AF_INET6)
    except OSError as error:
        raise StartError(f"listen: systemd's socket cannot be used: {error.strerror}") from error
    if not is_ours or listener.type != socket.SOCK_STREAM:
        raise StartError("listen: systemd's socket must be a TCP one: ListenStream=host:port")
    os.set_inheritable(listener.fileno(), False)
    return listener


def bind(host: str, port: int, key: str) -> socket.socket:
    """Bind a listening address; `key` is where the operator wrote it. Raises `StartError`."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise StartError(f"{key}: cannot resolve {host}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and host == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise StartError(f"{key}: {_why_not(error, host, port)}") from error
    return listener


def check_free(host: str, port: int, key: str) -> None:
    """Raise `StartError` if an address that a child will bind cannot be bound."""
    bind(host, port, key).close()


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"{host}:{port} is in use by another program; stop it, or choose another port "
            "in the configuration"
        )
    if error.errno == errno.EACCES:
        return f"may not listen on port {port}; choose a port above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine"
    return f"cannot listen on {host}:{port}: {error.strerror}"
