"""The ``toolcrib`` command and its verbs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from toolcrib_server.runtime import read_version

from . import (
    ask,
    calling,
    changes,
    chatting,
    domains,
    evaluating,
    feedback,
    importing,
    learning,
    logging_in,
    logs,
    models,
    outcomes,
    questions,
    reading,
    selecting,
    servers,
    serving,
    syncing,
    trust,
    views,
)
from .running import told

app = typer.Typer(
    name="toolcrib",
    help="Find the right tool or model among thousands, and call it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(servers.add)
app.command("import")(importing.import_file)
app.command("refresh")(importing.refresh_models)
app.command("list")(reading.list_entries)
app.command()(reading.show)
app.command()(logs.logs)
app.command()(servers.remove)
app.command()(servers.enable)
app.command()(servers.disable)
app.command()(syncing.sync)
app.command()(trust.approve)
app.command()(trust.scan)
app.command()(trust.policy)
app.command()(changes.changes)
app.command()(ask.search)
app.command()(selecting.select)
app.command()(calling.call)
app.command()(chatting.chat)
app.command()(logging_in.login)
app.command()(logging_in.logout)
app.command()(serving.serve)
app.command()(serving.stdio)
app.command()(serving.doctor)
app.command()(serving.connect)
app.command()(feedback.feedback)
app.add_typer(evaluating.app)
evaluating.app.command("learning")(learning.evaluate)
app.add_typer(learning.app)
app.add_typer(outcomes.app)
app.add_typer(models.app)
app.add_typer(questions.app)
app.add_typer(domains.app)
app.add_typer(views.app)


def main() -> None:
    """Run the command line."""
    told(app)


def _show_version(value: bool) -> None:  # noqa: FBT001  # typer's callback
    if value:
        sys.stdout.write(f"toolcrib {read_version()}\n")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Hold the options of the command itself."""
