"""How to call a running stack: commands that work as they are printed."""

from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from proofloop_local.state import StackState


def guide(state: StackState, command: Path) -> RenderableType:
    """What a person who has just brought the stack up wants to know; `command` is how they called proofloop."""
    tools = Path(_shown(command)).parent
    data = _shown(state.data)
    client = state.client
    tls = " ".join(
        f"--{option} {_shown(file)}"
        for option, file in (("cacert", client.authority), ("cert", client.certificate), ("key", client.key))
    )
    own = "" if data == ".proofloop" else f" --data {data}"
    tenant = state.tenants[0]
    audit = state.services.get("audit", "")
    return Group(
        Text(),
        Text("Proofloop is up.", style="bold green"),
        Text(),
        Text("REST", style="bold").append(f"       {state.edge}", style="not bold"),
        *(
            Text(f"{name:<10} ", style="bold").append(address, style="not bold")
            for name, address in state.services.items()
        ),
        Text(),
        Text("A token for a person (in another terminal):", style="dim"),
        Text(
            f"  TOKEN=$({tools / 'proofloop'} token{own} --user reviewer@example.com --tenant {tenant} "
            "--role reviewer --role auditor)"
        ),
        Text("Over REST:", style="dim"),
        Text(f'  curl -H "authorization: Bearer $TOKEN" {state.edge}/api/v1/audit/checkpoint'),
        Text("As it happens, as Server-Sent Events:", style="dim"),
        Text(f'  curl -N -H "authorization: Bearer $TOKEN" {state.edge}/api/v1/prompts:watch'),
        Text("Over gRPC, by reflection:", style="dim"),
        Text(
            f'  {tools / "buf"} curl --protocol grpc {tls} -H "authorization: Bearer $TOKEN" '
            f"https://{audit}/proofloop.audit.v1.LogService/GetCheckpoint"
        ),
        Text("What happened in a call:", style="dim"),
        Text(f"  {tools / 'proofloop'} trace{own}"),
        Text(),
        Text(f"Data in {data}. Ctrl-C stops everything.", style="dim"),
        Text(),
    )


def _shown(path: Path) -> str:
    """The path from here, where that is shorter."""
    absolute = path.absolute()
    here = Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)
