"""Development tokens: JWTs (RFC 7519) that only a local stack with the same keys believes."""

import json
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from joserfc import jwt
from joserfc.jwk import OKPKey
from proofloop.access.v1.access_pb2 import ROLE_SERVICE, ROLE_UNSPECIFIED, Role

from proofloop_local.errors import ServerError
from proofloop_local.keys import Keys

ISSUER = "https://proofloop.local"
AUDIENCE = "proofloop"
ALGORITHM = "Ed25519"
# A person is never a service.
ROLES = tuple(
    name.removeprefix("ROLE_").lower() for name, role in Role.items() if role not in {ROLE_UNSPECIFIED, ROLE_SERVICE}
)


def make_token(
    keys: Keys,
    *,
    user: str,
    tenant: str,
    roles: Iterable[str],
    lifetime: timedelta = timedelta(hours=12),
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> str:
    """A token that says: `user` of `tenant` has `roles` (lower-case names) until `lifetime` is over.

    Raises ServerError when there is no such role, or no stack has made keys yet.
    """
    wanted = list(dict.fromkeys(roles))
    unknown = [role for role in wanted if role not in ROLES]
    if unknown:
        raise ServerError(f"There is no role {unknown[0]!r}", f"The roles are {', '.join(ROLES)}")
    if not keys.token_key.exists():
        raise ServerError(f"There is no token key in {keys.folder}", "Run `proofloop up` once in this folder")
    key = OKPKey.import_key(json.loads(keys.token_key.read_text()))
    issued = now()
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": user,
        "tenant": tenant,
        "roles": wanted,
        "iat": int(issued.timestamp()),
        "exp": int((issued + lifetime).timestamp()),
        "jti": str(uuid.uuid4()),
    }
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, key, algorithms=[ALGORITHM])


def token(
    user: Annotated[str, typer.Option(help="Who the token names, its `sub`.")],
    tenant: Annotated[str, typer.Option(help="The person's tenant.")],
    role: Annotated[list[str], typer.Option(help=f"One of {', '.join(ROLES)}; may be repeated.")],
    data: Annotated[Path, typer.Option(help="The stack's data folder.")] = Path(".proofloop"),
    hours: Annotated[float, typer.Option(min=0.01, max=720, help="Hours until it expires.")] = 12,
) -> None:
    """Print a development token for a person."""
    lifetime = timedelta(hours=hours)
    try:
        text = make_token(Keys(data / "keys"), user=user, tenant=tenant, roles=role, lifetime=lifetime)
    except ServerError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(text)
