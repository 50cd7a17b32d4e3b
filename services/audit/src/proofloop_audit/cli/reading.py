"""`proofloop audit list` and `proofloop audit show`."""

from itertools import islice
from typing import Annotated
from uuid import UUID

import typer

from proofloop_audit.cli import tables
from proofloop_audit.cli.client import connected
from proofloop_audit.cli.options import Connection, Filters, spread


@spread
def list_entries(
    filters: Filters,
    connection: Connection,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="At most so many; 0 for all.")] = 50,
    oldest_first: Annotated[bool, typer.Option("--oldest-first", help="Default: the newest first.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print an entry on each line, as JSON.")] = False,
) -> None:
    """List the entries of your tenant's log, the newest first.

    Exit codes: 0 listed; 1 the service refused; 2 wrong usage; 5 no answer, try again.
    """
    wanted = filters.given()
    with connected(connection) as audit:
        matching = audit.entries(newest_first=not oldest_first, filters=wanted)
        found = islice(matching, limit or None)
        if as_json:
            for entry in found:
                typer.echo(tables.to_json(entry))
        else:
            listed, console = list(found), tables.console()
            console.print(tables.entries(listed, console) if listed else "No entry matches.")
        if limit and next(matching, None) is not None:
            typer.echo(f"There are more than these {limit}: --limit N shows more, --limit 0 all.", err=True)


@spread
def show(
    entry_id: Annotated[UUID, typer.Argument(metavar="ENTRY_ID", help="The entry's id, as `list` shows it.")],
    connection: Connection,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show an entry in full.

    Exit codes: 0 shown; 1 there is none, or the service refused; 2 wrong usage; 5 no answer, try again.
    """
    with connected(connection) as audit:
        entry = audit.entry(str(entry_id))
    if as_json:
        typer.echo(tables.to_json(entry, indent=2))
    else:
        console = tables.console()
        for line in tables.entry_in_full(entry):
            console.print(line, soft_wrap=True)
