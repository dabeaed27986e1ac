"""What `serve` says when it is ready: what to change in an application, and where to look."""

import shutil
import sys
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from spanmeter_gateway.config import Config, is_loopback

_CURL = """\
curl {url}/v1/chat/completions \\
  -H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json" \\
  -H "X-Feature: hello" \\{key}
  -d '{{"model": "gpt-4.1-mini", "messages": [{{"role": "user", "content": "Hello"}}]}}'"""

_KEY = """
  -H "X-Gateway-Key: $GATEWAY_KEY" \\"""


def say(console: Console, config: Config) -> None:
    """Print the next steps; plain text where there is no terminal."""
    # No padding: a blank after a line's last backslash would break the copied command.
    console.print("", next_steps(config), "", sep="\n", soft_wrap=True)
    console.file.flush()


def next_steps(config: Config) -> RenderableType:
    """Lay out the addresses, the header and a first call."""
    lines = Table.grid(padding=(0, 3))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(no_wrap=True)
    lines.add_row("OpenAI SDK", f"OPENAI_BASE_URL={config.url}/v1")
    lines.add_row("Anthropic SDK", f"ANTHROPIC_BASE_URL={config.url}")
    lines.add_row("name the feature", "X-Feature: checkout-assistant")
    lines.add_row("metrics", f"{config.books_url}/metrics")
    lines.add_row("live table", f"{_command()} top{_url_option(config)}")
    parts: list[RenderableType] = [
        Text("Spanmeter is ready.", style="bold green"),
        "",
        lines,
        "",
        Text(_CURL.format(url=config.url, key=_KEY if config.gateway_keys else ""), style="cyan"),
    ]
    for warning in warnings(config):
        parts += ["", Text(warning, style="yellow")]
    return Group(*parts)


def warnings(config: Config) -> list[str]:
    """Say what is open to others than its operator may mean."""
    return list(filter(None, (open_credentials(config), open_metrics(config))))


def open_credentials(config: Config) -> str | None:
    """Say so if anybody who reaches the port can spend a credential that we hold."""
    if config.gateway_keys:
        return None
    held = [row.name for row in config.upstreams if row.credential.kind != "passthrough"]
    if not held or is_loopback(config.listen_host):
        return None
    return (
        f"{config.listen_host} is open to the network: whoever reaches this port can use the "
        f"credentials of {', '.join(held)}."
    )


def open_metrics(config: Config) -> str | None:
    """Say so if anybody who reaches the books' port can read the metrics."""
    if config.books_token is not None or is_loopback(config.books_host):
        return None
    return (
        f"books.listen: {config.books_host} is open to the network: whoever reaches port "
        f"{config.books_port} can read what each feature costs; set books.token, or keep the "
        "network private."
    )


def _command() -> str:
    """Name this program as the reader of the lines can call it."""
    if shutil.which("spanmeter"):
        return "spanmeter"
    program = Path(sys.argv[0])
    here = Path.cwd()
    return str(program.relative_to(here) if program.is_relative_to(here) else program)


def _url_option(config: Config) -> str:
    return "" if config.books_url == Config().books_url else f" --url {config.books_url}"
