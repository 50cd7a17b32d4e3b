"""The command `proofloop audit fsck`: an operator's check of the logs where they are kept."""

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated

import typer
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.database import Database
from proofloop_runtime.errors import TRANSIENT
from proofloop_runtime.objects import S3Objects
from proofloop_runtime.ports import FileKeyStore, SystemClock, SystemRandomness
from proofloop_verifier.report import Verdict
from proofloop_verifier.terminal import EXIT_CODES, print_report
from pydantic import ValidationError

from proofloop_audit.log.checkpoints import CheckpointSigner, load_signing_key
from proofloop_audit.log.integrity.checker import LogChecker
from proofloop_audit.log.integrity.report import StoredCheck, StoredReport
from proofloop_audit.log.sealing import Sealer
from proofloop_audit.settings import AuditSettings


def fsck(
    tenant: Annotated[str | None, typer.Option(help="Whose log. Default: those of all tenants.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the reports as JSON.")] = False,
) -> None:
    """Check the logs in the service's own database, and what is published of them.

    Reads the service's settings, AUDIT_*, and changes nothing. It may run while the service does.

    Exit codes: 0 verified; 1 something is wrong or could not be checked; 2 wrong usage.
    """
    settings = _settings()
    if tenant is not None and tenant not in settings.tenants:
        raise typer.BadParameter(f"there is no tenant {tenant!r}", param_hint="--tenant")
    try:
        reports = asyncio.run(check(settings, settings.tenants if tenant is None else (tenant,)))
    except TRANSIENT as error:
        typer.echo(f"failed: nothing could be checked: {error}", err=True)
        raise typer.Exit(1) from error
    failed = any(report.verdict is not Verdict.VERIFIED for report in reports)
    verdict = Verdict.FAILED if failed else Verdict.VERIFIED
    if as_json:
        outcome = {"verdict": verdict, "logs": [report.to_json() for report in reports]}
        typer.echo(json.dumps(outcome, indent=2))
    else:
        for report in reports:
            print_report(StoredCheck, report.findings, _conclusion(report), looked=True)
    raise typer.Exit(EXIT_CODES[verdict])


async def check(settings: AuditSettings, tenants: Sequence[str]) -> list[StoredReport]:
    """Check the logs of these tenants.

    Raises:
        DependencyUnavailable: the database is not there.
    """
    clock, randomness = SystemClock(), SystemRandomness()
    breakers = Breakers(clock)
    database = Database(settings.database_url.get_secret_value(), "audit", clock, breakers, settings.database_pool)
    signer = CheckpointSigner(
        database,
        settings.log_domain,
        load_signing_key(settings.log_key),
        settings.tenants,
        clock,
        settings.checkpoint_every,
    )
    sealer = Sealer(database, FileKeyStore.load(settings.master_key, randomness), randomness)
    objects = None if settings.s3 is None else S3Objects(settings.s3, breakers)
    checker = LogChecker(database, sealer, signer, objects)
    try:
        return [await checker.report(tenant) for tenant in tenants]
    finally:
        await database.close()


def _settings() -> AuditSettings:
    try:
        return AuditSettings()
    except ValidationError as error:
        # Names the variables and what is wrong with them, never their values.
        raise typer.BadParameter(f"the service's settings are not complete: {error}") from error


def _conclusion(report: StoredReport) -> str:
    if report.first_failure is not None:
        return f"failed: {report.first_failure.sentence}"
    return f"verified: the log {report.origin}, {report.entries} entries"
