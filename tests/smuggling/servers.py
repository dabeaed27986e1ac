"""HTTP servers of different families that note each request they see: method, target, body."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from tests.components import require
from tests.fakes.raw_provider import RawProvider
from tests.processes import wait_until
from tests.programs import Program, free_ports

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
_NODE = """
const http = require("http")
const server = http.createServer((request, answer) => {
  const pieces = []
  request.on("data", (piece) => pieces.push(piece))
  request.on("end", () => {
    const body = Buffer.concat(pieces).toString("latin1")
    console.log(JSON.stringify([request.method, request.url, body]))
    answer.end("ok")
  })
})
server.keepAliveTimeout = 600000
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"))
"""
_GO = """
package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
)

func main() {
	out := json.NewEncoder(os.Stdout)
	out.Encode("ready")
	http.ListenAndServe("127.0.0.1:"+os.Args[1], http.HandlerFunc(
		func(answer http.ResponseWriter, request *http.Request) {
			body, err := io.ReadAll(request.Body)
			if err != nil {
				return
			}
			latin := make([]rune, len(body))
			for at, each := range body {
				latin[at] = rune(each)
			}
			out.Encode([]string{request.Method, request.RequestURI, string(latin)})
			answer.Write([]byte("ok"))
		}))
}
"""


class Seen(NamedTuple):
    """One request, as a server understood it."""

    method: str
    target: str
    body: bytes


class Server(NamedTuple):
    """Where a server listens, and everything it has seen so far."""

    url: str
    seen: Callable[[], list[Seen]]


@contextmanager
def strict() -> Iterator[Server]:
    """Our own: takes what RFC 9112 calls well-formed, and notes anything else as `BROKEN`."""
    seen: list[Seen] = []

    def talk(connection: Any) -> None:
        reader = connection.makefile("rb")
        while (start := reader.readline()) != b"":
            seen.append(_read_strictly(start, reader))
            connection.sendall(_ANSWER)

    with RawProvider(talk) as provider:
        yield Server(provider.base_url, lambda: list(seen))


def _read_strictly(start: bytes, reader: Any) -> Seen:
    method, target, version = start.split(b" ")
    lines = list(iter(reader.readline, b"\r\n"))
    headers = [
        (name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)
    ]
    framing = [pair for pair in headers if pair[0] in (b"content-length", b"transfer-encoding")]
    is_right = version == b"HTTP/1.1\r\n" and len(framing) <= 1
    is_right &= [name for name, _ in headers].count(b"host") == 1
    if not is_right:
        return Seen("BROKEN", repr(start), b"".join(lines))
    body = b""
    if framing and framing[0] == (b"transfer-encoding", b"chunked\r\n"):
        while size := int(reader.readline(), 16):
            body += reader.read(size)
            assert reader.read(2) == b"\r\n"
        assert reader.readline() == b"\r\n"
    elif framing:
        assert framing[0][0] == b"content-length"
        assert framing[0][1][:-2].isdigit()
        body = reader.read(int(framing[0][1]))
    return Seen(method.decode(), target.decode("latin-1"), body)


@contextmanager
def python() -> Iterator[Server]:
    """Python's http.server, which leaves chunks to its user."""
    seen: list[Seen] = []

    class Answerer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = b""
            if self.headers.get("transfer-encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
            seen.append(Seen(self.command, self.path, body))
            self.wfile.write(_ANSWER)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answerer)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_port}", lambda: list(seen))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def h11() -> Iterator[Server]:
    """uvicorn with h11's parser."""
    seen: list[Seen] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        target = (scope["raw_path"] + query).decode("latin-1")
        seen.append(Seen(scope["method"], target, body))
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    (port,) = free_ports(1)
    config = uvicorn.Config(
        app,
        port=port,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=600,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield Server(f"http://127.0.0.1:{port}", lambda: list(seen))
    finally:
        server.should_exit = True
        thread.join()


class _Printing(Program):
    """A program that prints `ready`, then each request that it sees as JSON."""

    def __init__(self, name: str, command: list[str], *, port: int) -> None:
        super().__init__(name)
        self._command = [*command, str(port)]
        self._out = self.folder / "out"

    def start(self) -> None:
        with self._out.open("wb") as out:
            self._process = subprocess.Popen(self._command, stdout=out, cwd=self.folder)
        wait_until(lambda: "ready" in self._out.read_text())

    def seen(self) -> list[Seen]:
        lines = self._out.read_text().splitlines()[1:]
        return [
            Seen(method, target, body.encode("latin-1"))
            for method, target, body in map(json.loads, lines)
        ]


@contextmanager
def node(folder: Path) -> Iterator[Server]:
    """Node.js' http, which is llhttp as Node sets it up."""
    script = folder / "server.cjs"
    script.write_text(_NODE)
    (port,) = free_ports(1)
    with _Printing("node", [str(require("node")), str(script)], port=port) as program:
        yield Server(f"http://127.0.0.1:{port}", program.seen)


@contextmanager
def go(folder: Path) -> Iterator[Server]:
    """Go's net/http."""
    source, binary = folder / "server.go", folder / "server"
    source.write_text(_GO)
    build = [str(require("go")), "build", "-o", str(binary), str(source)]
    subprocess.run(build, check=True, cwd=folder)
    (port,) = free_ports(1)
    with _Printing("go", [str(binary)], port=port) as program:
        yield Server(f"http://127.0.0.1:{port}", program.seen)


class Nginx(Program):
    """nginx that forwards to a server over connections that it keeps.

    It logs each request that it sent there, with the status that it got.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__("nginx")
        self._upstream = upstream.removeprefix("http://")
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        (self.folder / "nginx.conf").write_text(
            f"""
            daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/error;
            events {{ worker_connections 256; }}
            http {{
              access_log off; client_body_temp_path {self.folder}/b;
              proxy_temp_path {self.folder}/p; fastcgi_temp_path {self.folder}/f;
              uwsgi_temp_path {self.folder}/u; scgi_temp_path {self.folder}/s;
              log_format sent '$request_method $request_uri $upstream_status';
              upstream there {{ server {self._upstream}; keepalive 8; }}
              server {{
                listen 127.0.0.1:{self._port};
                access_log {self.folder}/log sent;
                location / {{
                  proxy_pass http://there; proxy_http_version 1.1;
                  proxy_set_header Connection ""; proxy_request_buffering off;
                }}
              }}
            }}
            """
        )
        command = [str(require("nginx")), "-p", str(self.folder), "-c", "nginx.conf"]
        with (self.folder / "stderr").open("wb") as errors:
            self._process = subprocess.Popen(command, stderr=errors, cwd=self.folder)
        wait_until(lambda: (self.folder / "pid").exists())

    def sent(self, wanted: str = "") -> list[tuple[str, str]]:
        """List method and target of each request that it read, or of those with that answer."""
        rows = [line.split(" ") for line in (self.folder / "log").read_text().splitlines()]
        return [(row[0], row[1]) for row in rows if row[-1].startswith(wanted)]


@contextmanager
def nginx() -> Iterator[Server]:
    """Let nginx read, and the strict server note what it made of it."""
    with strict() as behind, Nginx(behind.url) as program:
        yield Server(program.url, behind.seen)
