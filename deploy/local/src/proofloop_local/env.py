"""`proofloop env`: where the running stack is, for a shell."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from proofloop_local.state import StackState, find_stack

NO_STACK = 1


def env(data: Annotated[Path, typer.Option(help="The stack's data folder.")] = Path(".proofloop")) -> None:
    """Print where the running stack is, as shell variables: eval "$(proofloop env)".

    Exit codes: 0 printed; 1 no stack runs.
    """
    state = find_stack(data)
    if state is None:
        typer.echo(f"No stack runs in {data}. Run `proofloop up` there, in another terminal.", err=True)
        raise typer.Exit(NO_STACK)
    for name, value in variables(state).items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def variables(state: StackState) -> dict[str, str]:
    """The edge's URL, each service's `host:port`, and the files of the command line's certificate."""
    client = state.client
    return {
        "EDGE": state.edge,
        **{name.upper(): address for name, address in state.services.items()},
        "CACERT": str(client.authority),
        "CERT": str(client.certificate),
        "KEY": str(client.key),
    }
