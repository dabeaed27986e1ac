"""The `spanmeter` command: serve, check, top, demo, compile, rules build."""

import logging
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from spanmeter_gateway import compiled, next_steps, supervisor, top_table
from spanmeter_gateway.alerting import build, slo
from spanmeter_gateway.config_file import find_file, ignored_variables, load, load_books
from spanmeter_gateway.demo import run
from spanmeter_gateway.errors import ConfigError, GatewayError, StaleRules
from spanmeter_gateway.privacy import begin_process
from spanmeter_gateway.reload import Source
from spanmeter_gateway.upstreams.way import egress_proxy

BAD_CONFIG = 2
FAILED = 1
_PIPE_WIDTH = 160

app = typer.Typer(
    help="Meter LLM calls per feature: a drop-in gateway in front of your providers.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
rules_app = typer.Typer(help="Alert rules for Prometheus.", no_args_is_help=True)
app.add_typer(rules_app, name="rules")
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", help="YAML file; else $SPANMETER_CONFIG, ./spanmeter.yaml, or the defaults."
    ),
]


def main() -> None:
    """Run the command; an error that we know is one line, never a traceback."""
    try:
        app()
    except ConfigError as error:
        Console(stderr=True).print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(BAD_CONFIG)
    except GatewayError as error:
        Console(stderr=True).print(
            f"spanmeter: {error}", markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(FAILED)


def _console() -> Console:
    """Write to stdout; where there is no terminal, lines are long enough for a whole table."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


def _print_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"spanmeter {version('spanmeter-gateway')}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda wanted: _print_version(wanted=wanted),
            is_eager=True,
            help="Show the version.",
        ),
    ] = False,
) -> None:
    """Meter LLM calls per feature: a drop-in gateway in front of your providers."""


@app.command()
def serve(
    config: ConfigOption = None,
    *,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over", help="Take the place of the gateway that runs in the same data_dir."
        ),
    ] = False,
) -> None:
    """Run the gateway: relays, and the books behind them."""
    begin_process(logging.INFO)
    folder = Path.cwd()
    source = Source(
        find=lambda: find_file(config, os.environ, folder),
        load=lambda: load(find_file(config, os.environ, folder), os.environ),
    )
    loaded = source.load()
    status = supervisor.serve(
        loaded,
        on_ready=lambda: next_steps.say(_console(), loaded),
        source=source,
        take_over=take_over,
    )
    raise typer.Exit(status)


@app.command()
def check(config: ConfigOption = None) -> None:
    """Check the configuration and show what it amounts to."""
    path = find_file(config, os.environ, Path.cwd())
    loaded = load(path, os.environ)
    table = Table(box=None, pad_edge=False, header_style="dim")
    proxies = [egress_proxy(row, os.environ) for row in loaded.upstreams]
    headings = ("upstream", "provider", "base URL", "credential")
    for heading in (*headings, "proxy") if any(proxies) else headings:
        table.add_column(heading, overflow="fold")
    for row, proxy in zip(loaded.upstreams, proxies, strict=True):
        name = f"{row.name} (default)" if row.name == loaded.default_upstream else row.name
        credential = ":".join(filter(None, (row.credential.kind, row.credential.source)))
        way = [str(proxy or "-")] if any(proxies) else []  # printed without its login
        table.add_row(name, row.provider, row.base_url, credential, *way)
    console = _console()
    console.print(f"{path or 'defaults'}: valid\n")
    console.print(table)
    console.print(
        f"\nrelay {loaded.listen_url} ({loaded.workers} workers), books {loaded.books_listen_url}, "
        f"data in {loaded.data_dir}",
        soft_wrap=True,
    )
    for warning in (*next_steps.warnings(loaded), *ignored_variables(os.environ)):
        console.print(f"warning: {warning}", style="yellow", soft_wrap=True)


@app.command()
def top(
    url: Annotated[
        str | None, typer.Option(help="Where the books listen; else what the configuration says.")
    ] = None,
    *,
    config: ConfigOption = None,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one reading as JSON.")] = False,
) -> None:
    """Show calls, errors, tokens and cost of each feature, live."""
    access = load_books(find_file(config, os.environ, Path.cwd()), os.environ)
    url = url or access.url
    console = _console()
    if as_json:
        typer.echo(top_table.as_json(url, token=access.token))
    elif once:
        top_table.once(console, url, token=access.token)
    else:
        try:
            top_table.follow(console, url, token=access.token)
        except KeyboardInterrupt:
            raise typer.Exit from None


@app.command()
def demo(
    data_dir: Annotated[
        Path | None, typer.Option(help="Keep the receipts and sums here; else they are deleted.")
    ] = None,
) -> None:
    """Try it: a pretend provider, live traffic, the table."""
    run.demo(_console(), data_dir)


@rules_app.command("build")
def build_rules(
    promises: Annotated[
        Path, typer.Option("--slo", help="What is promised; rules are written beside it.")
    ] = Path("grafana/slo.yaml"),
    *,
    check_only: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail when a file is stale.")
    ] = False,
) -> None:
    """Make Prometheus rules from slo.yaml: rules/*.yaml, and the operator's manifest."""
    content_by_path = build.files(slo.load(promises))
    folder = promises.parent
    stale = build.stale(folder, content_by_path)
    if check_only and stale:
        raise StaleRules(
            f"stale: {', '.join(str(folder / path) for path in stale)}; "
            f"run spanmeter rules build --slo {promises}"
        )
    build.write(folder, content_by_path)
    _console().print(_rule_files(folder, content_by_path, stale))


def _rule_files(folder: Path, content_by_path: dict[str, str], stale: list[str]) -> Table:
    table = Table("file", box=None, pad_edge=False, header_style="dim")
    table.add_column("recorded", justify="right")
    table.add_column("alerts", justify="right")
    table.add_column("")
    for path, content in content_by_path.items():
        recorded, alerts = map(str, build.counts(content))
        table.add_row(str(folder / path), recorded, alerts, "changed" if path in stale else "")
    for path in [each for each in stale if each not in content_by_path]:
        table.add_row(str(folder / path), "", "", "deleted")
    return table


@app.command("compile")
def compile_(
    *,
    where: Annotated[
        bool, typer.Option("--where", help="Only print where the compiled relay is.")
    ] = False,
) -> None:
    """Compile the relay to machine code: twice as fast. Needs a C compiler, and a minute."""
    console = _console()
    found = compiled.find()
    if where:
        typer.echo(found or "")
        raise typer.Exit(0 if found else FAILED)
    if found is None:
        with console.status("Compiling the relay, about a minute ..."):
            compiled.compile_relay()
    console.print("The relay is compiled; a gateway that runs uses it after a restart.")


if __name__ == "__main__":
    main()
