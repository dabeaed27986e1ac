"""nginx as the limit: one worker that proxies the same calls, without access log."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.candidates import Candidate, await_answers, free_ports
from bench.processes import CANDIDATE_CPU, running
from bench.rig import Door, Mock

# keepalive_requests is 1000 unless said otherwise, and nginx would reconnect all the time
# (nginx.org/en/docs/http/ngx_http_core_module.html#keepalive_requests); bodies fit their
# buffers, so nothing goes to disk. Streams get a server of their own, because buffering is good
# for whole answers and holds back events.
_CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_buffer_size 512k;
    proxy_buffers 16 64k;
    proxy_busy_buffers_size 128k;
    proxy_max_temp_file_size 0;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    upstream plain {{
        server 127.0.0.1:{mock.plain_port};
        keepalive 1024;
        keepalive_requests 1000000000;
        keepalive_timeout 600s;
    }}
    upstream secured {{
        server 127.0.0.1:{mock.tls_port};
        keepalive 1024;
        keepalive_requests 1000000000;
        keepalive_timeout 600s;
    }}
    proxy_ssl_verify on;
    proxy_ssl_trusted_certificate {mock.certificate};
    proxy_ssl_name localhost;
    proxy_ssl_server_name on;
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    server {{
        listen 127.0.0.1:{calls};
        location / {{ proxy_pass http://plain; }}
    }}
    server {{
        listen 127.0.0.1:{streams};
        proxy_buffering off;
        location / {{ proxy_pass http://plain; }}
    }}
    server {{
        listen 127.0.0.1:{secured};
        location / {{ proxy_pass https://secured; }}
    }}
}}
"""


@contextmanager
def nginx(mock: Mock, folder: Path, name: str = "nginx") -> Iterator[Candidate]:
    """Run nginx with a configuration of its own; the Debian package's service is not touched."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise SystemExit("bench: nginx is not installed (Debian: apt-get install nginx-light)")
    folder = folder / name
    folder.mkdir()
    calls, streams, secured = free_ports(3)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            user="user root;" if os.geteuid() == 0 else "",
            folder=folder,
            mock=mock,
            calls=calls,
            streams=streams,
            secured=secured,
        )
    )
    command = [program, "-c", str(configuration), "-e", str(folder / "nginx-error.log")]
    with running(command, cpu=CANDIDATE_CPU, log=folder / "nginx.log") as started:
        candidate = Candidate(
            name=name,
            started=started,
            calls=Door(calls),
            streams=Door(streams),
            secured=Door(secured),
        )
        cold_start_s = await_answers(candidate, started)
        yield replace(candidate, cold_start_s=cold_start_s)
