"""`proofloop up`: the stack on this machine, until Ctrl-C."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from proofloop_local.errors import ServerError
from proofloop_local.guide import guide
from proofloop_local.logs import follow, readable
from proofloop_local.servers import Server
from proofloop_local.stack import TENANTS, Stack
from proofloop_local.trace import COLOURS

PAUSE_SECONDS = 1.0
FAILED = 1

Data = Annotated[Path, typer.Option(help="Folder in which everything is kept.")]
Port = Annotated[int | None, typer.Option(min=1024, max=65535, help="Port of the REST interface; default: a free one.")]
Tenant = Annotated[list[str] | None, typer.Option(help="A tenant to serve; may be repeated. Default: acme.")]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
Level = Annotated[LogLevel, typer.Option(help="Least level that services log.")]


def up(data: Data = Path(".proofloop"), port: Port = None, tenant: Tenant = None, log_level: Level = "INFO") -> None:
    """Bring up the whole stack on this machine and follow its logs until Ctrl-C.

    Exit codes: 0 stopped as asked; 1 it could not start.
    """
    console = Console(highlight=False)
    stack = Stack(
        data,
        port=port,
        tenants=tenant or TENANTS,
        log_level=log_level,
        report=lambda step: console.print(step, style="dim"),
    )
    try:
        asyncio.run(_run(stack, console))
    except ServerError as error:
        console.print(str(error), style="bold red", markup=False, soft_wrap=True)
        raise typer.Exit(FAILED) from None


async def _run(stack: Stack, console: Console) -> None:
    """Start, follow, stop; a signal ends each of the three."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    stopping = asyncio.create_task(stop.wait())
    starting = asyncio.create_task(stack.start())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        console.print("stopping", style="dim")
        starting.cancel()
        # What had started is stopped when this returns.
        await asyncio.wait({starting})
        return
    starting.result()
    try:
        console.print(guide(stack.state, Path(sys.argv[0])), soft_wrap=True)
        await _serve(stack, console, stopping)
    finally:
        console.print("stopping", style="dim")
        await stack.stop()


async def _serve(stack: Stack, console: Console, stopping: asyncio.Task[bool]) -> None:
    """Follow the logs and replace what dies, until asked to stop."""
    work = [asyncio.create_task(_print_logs(stack, console))]
    work += [asyncio.create_task(_keep_up(server, console)) for server in stack.servers]
    await asyncio.wait({stopping, *work}, return_when=asyncio.FIRST_COMPLETED)
    for task in work:
        task.cancel()
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


async def _keep_up(server: Server, console: Console) -> None:
    """Start the server again whenever it ends, at the same address."""
    while True:
        await server.ended()
        console.print(f"{server.title} has ended by itself and is started again", style="bold yellow")
        await asyncio.sleep(PAUSE_SECONDS)
        await server.start()


async def _print_logs(stack: Stack, console: Console) -> None:
    files = {name: service.log for name, service in stack.services.items()} | {"edge": stack.edge.log}
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(files)}
    async for name, line in follow(files):
        console.print(readable(name, line, colours[name]), soft_wrap=True)
