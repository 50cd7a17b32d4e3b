"""Who is at the other end: services by their certificate, people by their token.

A certificate names its service by a SPIFFE id, `spiffe://<trust domain>/<service>`. A token is a JWT (RFC 7519)
signed with EdDSA; it is believed only from the peers that settings list, so that a stolen token is worth nothing
without a certificate.
"""

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import KeySet
from proofloop.access.v1.access_pb2 import ROLE_SERVICE, Role

from proofloop_runtime.call import Caller, CallerType
from proofloop_runtime.errors import Unauthenticated

AUTHORIZATION = "authorization"
TENANT = "x-proofloop-tenant"

_REMEMBERED_TOKENS = 4096
_LONGEST_SUBJECT = 256


@dataclass(frozen=True, slots=True)
class Person:
    """What a valid token says.

    Attributes:
        id: `sub`.
        tenant: The person's tenant.
        roles: Values of `proofloop.access.v1.Role`; unknown names are ignored.
        expires: `exp`, in seconds since the epoch.
    """

    id: str
    tenant: str
    roles: frozenset[int]
    expires: float


class TokenVerifier:
    """Checks bearer tokens, and remembers the valid ones until they expire.

    Args:
        keys: The issuer's public keys, a JWK Set (RFC 7517).
        issuer: Required `iss`.
        audience: Required `aud`.
        now: Seconds since the epoch.
    """

    def __init__(self, keys: KeySet, issuer: str, audience: str, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._now = now
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(now()),
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            exp={"essential": True},
        )
        self._valid: OrderedDict[str, Person] = OrderedDict()

    @classmethod
    def load(cls, path: Path, issuer: str, audience: str) -> "TokenVerifier":
        """Read the issuer's public keys from a file."""
        return cls(KeySet.import_key_set(json.loads(path.read_bytes())), issuer, audience)

    def verify(self, token: str) -> Person:
        """Return what the token says.

        Raises:
            Unauthenticated: it is not valid, or not any more.
        """
        person = self._valid.get(token)
        if person is None:
            person = self._check(token)
            self._valid[token] = person
            if len(self._valid) > _REMEMBERED_TOKENS:
                self._valid.popitem(last=False)
        if person.expires <= self._now():
            self._valid.pop(token, None)
            raise Unauthenticated("the token has expired", detail="token_expired")
        return person

    def _check(self, token: str) -> Person:
        try:
            claims = jwt.decode(token, self._keys, algorithms=["EdDSA", "Ed25519"]).claims
            self._claims.validate(claims)
        except ExpiredTokenError as error:
            raise Unauthenticated("the token has expired", detail="token_expired") from error
        except (JoseError, ValueError) as error:
            raise Unauthenticated("the token is not valid", detail="token_invalid") from error
        tenant, roles = claims.get("tenant"), claims.get("roles", [])
        if not isinstance(tenant, str) or not isinstance(roles, list) or not _is_subject(claims["sub"]):
            raise Unauthenticated("the token lacks subject, tenant or roles", detail="token_invalid")
        known = {value for name, value in Role.items() if name.removeprefix("ROLE_").lower() in roles}
        # A person is never a service, whatever the issuer says.
        return Person(claims["sub"], tenant, frozenset(known - {0, ROLE_SERVICE}), float(claims["exp"]))


@cache
def _service(peer: str, tenant: str) -> Caller:
    """Return a service as a caller; both names are known by now, so there are few."""
    return Caller(CallerType.SERVICE, peer, tenant, frozenset({ROLE_SERVICE}), peer)


def _is_subject(value: object) -> bool:
    """Tell whether a value can be the id of a person wherever such an id goes: columns, headers, the log."""
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_SUBJECT and value.isprintable()


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Decides who a caller is.

    Attributes:
        trust_domain: Of the certificates' SPIFFE ids.
        tokens: Checks tokens.
        services: Peers that act in their own name, with the service role, for the tenant they state.
        token_peers: Peers that may hand in a person's token.
        tenants: The tenants that this system serves.
    """

    trust_domain: str
    tokens: TokenVerifier
    services: frozenset[str]
    token_peers: frozenset[str]
    tenants: frozenset[str]

    def peer(self, auth_context: Mapping[str, object]) -> str:
        """Return the service that the connection's certificate names.

        Raises:
            Unauthenticated: there is no certificate, or it names no service of our trust domain.
        """
        prefix = f"spiffe://{self.trust_domain}/"
        uris = auth_context.get("peer_spiffe_id", ())
        for uri in uris if isinstance(uris, list | tuple) else ():
            name = bytes(uri).decode("ascii", "replace")
            if name.startswith(prefix):
                return name.removeprefix(prefix)
        raise Unauthenticated("the connection shows no certificate of a service", detail="no_certificate")

    def caller(self, peer: str, metadata: Mapping[str, str]) -> Caller:
        """Return the caller: the person whose token the peer hands in, else the peer itself.

        Raises:
            Unauthenticated: the token is not valid or not accepted from this peer, or the tenant is not known.
        """
        authorization = metadata.get(AUTHORIZATION)
        if authorization is None:
            if peer not in self.services:
                raise Unauthenticated("there is no token", detail="token_missing")
            tenant = self._tenant(metadata.get(TENANT, ""))
            return _service(peer, tenant)
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("authorization must be a bearer token", detail="token_invalid")
        if peer not in self.token_peers:
            raise Unauthenticated(f"tokens are not accepted from {peer}", detail="token_not_accepted")
        person = self.tokens.verify(token)
        return Caller(CallerType.USER, person.id, self._tenant(person.tenant), person.roles, peer, token)

    def _tenant(self, tenant: str) -> str:
        if not tenant:
            raise Unauthenticated("the call names no tenant", detail="tenant_missing")
        if tenant not in self.tenants:
            raise Unauthenticated("the tenant is not known", detail="tenant_unknown")
        return tenant
