"""Who a caller is: certificates and tokens."""

import base64
import json
from collections.abc import Callable

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, OKPKey, RSAKey
from proofloop.access.v1.access_pb2 import ROLE_CLAIMANT, ROLE_OPERATOR, ROLE_SERVICE
from proofloop_runtime.call import CallerType
from proofloop_runtime.errors import Unauthenticated
from proofloop_runtime.identity import AUTHORIZATION, TENANT, Authenticator, TokenVerifier

NOW = 1_800_000_000
KEY = OKPKey.generate_key("Ed25519", {"kid": "one", "use": "sig", "alg": "Ed25519"})
PUBLIC = KeySet([OKPKey.import_key(KEY.as_dict(private=False))])
CLAIMS = {
    "iss": "https://issuer",
    "aud": "proofloop",
    "sub": "user-1",
    "tenant": "acme",
    "roles": ["claimant"],
    "exp": NOW + 60,
}


class Time:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def authenticator(time: Time) -> Authenticator:
    return Authenticator(
        trust_domain="proofloop.local",
        tokens=TokenVerifier(PUBLIC, "https://issuer", "proofloop", time),
        services=frozenset({"packets"}),
        token_peers=frozenset({"envoy", "packets"}),
        tenants=frozenset({"acme", "globex"}),
    )


def token(key=KEY, algorithm: str = "Ed25519", **claims: object) -> str:
    merged = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return jwt.encode({"alg": algorithm, "kid": "one"}, merged, key, algorithms=[algorithm])


def bearer(text: str) -> dict[str, str]:
    return {AUTHORIZATION: f"Bearer {text}"}


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def detail(call: Callable[[], object]) -> str:
    with pytest.raises(Unauthenticated) as refused:
        call()
    return refused.value.metadata["detail"]


def test_a_certificate_of_the_trust_domain_names_its_service(authenticator) -> None:
    uris = {"peer_spiffe_id": [b"spiffe://proofloop.local/packets"]}
    assert authenticator.peer(uris) == "packets"


@pytest.mark.parametrize(
    "auth_context",
    [
        {},
        {"peer_spiffe_id": []},
        {"peer_spiffe_id": [b"spiffe://elsewhere/packets"]},
        {"peer_spiffe_id": [b"spiffe://proofloop.local.evil/packets"]},
        {"peer_spiffe_id": [b"\xff\xfe"]},
        {"x509_common_name": [b"packets"]},
    ],
)
def test_any_other_connection_has_no_certificate(authenticator, auth_context) -> None:
    assert detail(lambda: authenticator.peer(auth_context)) == "no_certificate"


def test_a_person_has_the_roles_of_the_token_and_not_those_of_the_peer(authenticator) -> None:
    caller = authenticator.caller("packets", bearer(token()))
    assert (caller.type, caller.id, caller.tenant) == (CallerType.USER, "user-1", "acme")
    assert caller.roles == {ROLE_CLAIMANT}


def test_the_tenant_of_a_person_is_the_tokens_whatever_the_metadata_says(authenticator) -> None:
    assert authenticator.caller("envoy", bearer(token()) | {TENANT: "globex"}).tenant == "acme"


def test_a_token_never_makes_a_service_of_a_person_and_unknown_roles_are_ignored(authenticator) -> None:
    made = token(roles=["service", "unspecified", "emperor", "operator", "CLAIMANT", 7])
    assert authenticator.caller("envoy", bearer(made)).roles == {ROLE_OPERATOR}


def test_a_service_without_a_token_acts_in_its_own_name_for_the_tenant_it_states(authenticator) -> None:
    caller = authenticator.caller("packets", {TENANT: "globex"})
    assert (caller.type, caller.id, caller.tenant) == (CallerType.SERVICE, "packets", "globex")
    assert caller.roles == {ROLE_SERVICE}


def test_a_peer_that_is_no_service_is_not_believed_about_a_tenant(authenticator) -> None:
    assert detail(lambda: authenticator.caller("envoy", {TENANT: "acme"})) == "token_missing"


@pytest.mark.parametrize(("tenant", "expected"), [("", "tenant_missing"), ("nowhere", "tenant_unknown")])
def test_a_service_must_state_a_tenant_that_exists(authenticator, tenant, expected) -> None:
    assert detail(lambda: authenticator.caller("packets", {TENANT: tenant})) == expected


def test_a_token_of_an_unknown_tenant_is_refused(authenticator) -> None:
    assert detail(lambda: authenticator.caller("envoy", bearer(token(tenant="nowhere")))) == "tenant_unknown"


def test_a_token_from_a_peer_that_may_not_hand_one_in_is_refused_even_if_valid(authenticator) -> None:
    assert detail(lambda: authenticator.caller("stranger", bearer(token()))) == "token_not_accepted"


@pytest.mark.parametrize("authorization", ["", " ", "Bearer", "Bearer ", "Basic dTpw", " token", "token"])
def test_a_service_that_sends_half_a_token_does_not_become_itself(authenticator, authorization) -> None:
    metadata = {AUTHORIZATION: authorization, TENANT: "acme"}
    assert detail(lambda: authenticator.caller("packets", metadata)) == "token_invalid"


def test_a_token_expires_even_after_it_was_seen_valid(authenticator, time) -> None:
    metadata = bearer(token())
    authenticator.caller("envoy", metadata)
    time.now = NOW + 59.9
    authenticator.caller("envoy", metadata)
    time.now = NOW + 60
    assert detail(lambda: authenticator.caller("envoy", metadata)) == "token_expired"


def test_a_token_that_has_expired_before_it_was_first_seen_is_refused(authenticator) -> None:
    assert detail(lambda: authenticator.caller("envoy", bearer(token(exp=NOW - 1)))) == "token_expired"


def _forged() -> dict[str, str]:
    stranger = OKPKey.generate_key("Ed25519", {"kid": "one"})
    public_as_secret = OctKey.import_key(json.dumps(KEY.as_dict(private=False)))
    raw_as_secret = OctKey.import_key(KEY.raw_value.public_key().public_bytes_raw())
    valid = token()
    header, body, signature = valid.split(".")
    return {
        "another issuer": token(iss="https://elsewhere"),
        "no issuer": token(iss=None),
        "another audience": token(aud="elsewhere"),
        "no audience": token(aud=None),
        "no subject": token(sub=None),
        "an empty subject": token(sub=""),
        "a subject that is no text": token(sub=7),
        "a subject with a NUL": token(sub="user\0"),
        "a subject of a thousand characters": token(sub="u" * 1000),
        "no expiry": token(exp=None),
        "an expiry that is no number": token(exp="tomorrow"),
        "an expiry that never comes": token(exp=float("inf")),
        "no tenant": token(tenant=None),
        "a tenant that is no text": token(tenant=["acme"]),
        "roles that are no list": token(roles="operator"),
        "not valid yet": token(nbf=NOW + 30),
        "another key": token(stranger),
        "RSA": token(RSAKey.generate_key(2048), "RS256"),
        "the public key as an HMAC secret": token(public_as_secret, "HS256"),
        "the public key's bytes as an HMAC secret": token(raw_as_secret, "HS256"),
        "no algorithm": f"{encoded({'alg': 'none'})}.{body}.",
        "no algorithm, signature kept": f"{encoded({'alg': 'none', 'kid': 'one'})}.{body}.{signature}",
        "an unknown key id": f"{encoded({'alg': 'Ed25519', 'kid': 'two'})}.{body}.{signature}",
        "a key of its own": f"{encoded({'alg': 'Ed25519', 'jwk': stranger.as_dict(private=False)})}.{body}.{signature}",
        "a changed body": f"{header}.{encoded({**CLAIMS, 'sub': 'user-2'})}.{signature}",
        "no signature": f"{header}.{body}.",
        "a body that is no object": jwt_of(b"[]"),
        "a body that is no JSON": jwt_of(b"\xff"),
        "a body nested too deeply": jwt_of(b"[" * 100_000),
        "two parts": f"{header}.{body}",
        "five parts": f"{valid}.a.b",
        "nothing": ".",
        "dots": "....",
        "text": "a token",
        "not ASCII": "tökén.é.é",
        "a header that is no object": f"{encoded(7)}.{body}.{signature}",
        "a header nested too deeply": "W1tb" * 100_000 + f".{body}.{signature}",
    }


def jwt_of(payload: bytes) -> str:
    from joserfc import jws

    return jws.serialize_compact({"alg": "Ed25519", "kid": "one"}, payload, KEY, algorithms=["Ed25519"])


@pytest.mark.parametrize("forged", [pytest.param(text, id=name) for name, text in _forged().items()])
def test_a_token_is_refused_with(authenticator, forged) -> None:
    assert detail(lambda: authenticator.caller("envoy", bearer(forged))) == "token_invalid"
