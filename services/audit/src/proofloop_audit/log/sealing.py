"""Personal parts: encrypted under a key per data subject, bound to the leaf by a commitment.

Per subject and tenant there is one random key, wrapped by the key store, and one random pseudonym. For each entry,
HKDF(subject key, entry id) yields the salt of the commitment and the key of the encryption, so destroying the subject
key destroys both at once, and every hash and proof stays.
"""

import hmac
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple, TypeAlias

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from proofloop_runtime.database import Database
from proofloop_runtime.ports import KeyStore, Randomness
from proofloop_verifier.leaf import SubjectCommitment, commitment

from proofloop_audit.log.domain import Draft, PersonalPart
from proofloop_audit.log.store import SubjectRow, insert_subject, select_subject, select_subjects_by_pseudonym

_REMEMBERED = 10_000
_KEY_BYTES = 32
# Each entry has an encryption key of its own, used once, so a constant nonce is safe (NIST SP 800-38D, 8.3).
_NONCE = bytes(12)


@dataclass(frozen=True, slots=True)
class Subject:
    """A data subject's pseudonym and key, in the clear."""

    pseudonym: str
    key: hmac.HMAC = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unsealed:
    """A draft, and the keys to seal it with.

    Attributes:
        draft: The draft.
        subject: Its actor.
        fingerprint_key: The tenant's.
    """

    draft: Draft
    subject: Subject
    fingerprint_key: bytes = field(repr=False)

    def seal(self) -> "Sealed":
        """Seal the personal part."""
        draft = self.draft
        part = draft.personal_part()
        salt, key = _derive(self.subject.key, draft.entry_id)
        return Sealed(
            draft,
            SubjectCommitment(self.subject.pseudonym, commitment(salt, part)),
            AESGCM(key).encrypt(_NONCE, part, None),
            blake2b(draft.fingerprint_input(part), key=self.fingerprint_key, digest_size=_KEY_BYTES).digest(),
        )


class Sealed(NamedTuple):
    """A draft whose personal part is sealed.

    Attributes:
        draft: The draft.
        commitment: What the leaf says of the subject.
        sealed_part: The encrypted part.
        fingerprint: Keyed hash (BLAKE2b, RFC 7693) that recognises a repetition.
    """

    draft: Draft
    commitment: SubjectCommitment
    sealed_part: bytes
    fingerprint: bytes

    def seal(self) -> "Sealed":
        """Return itself, for those who were sealed before their turn came."""
        return self


Sealable: TypeAlias = Unsealed | Sealed


class Sealer:
    """Knows the keys that personal parts are sealed and opened with. Keys that were used lately are remembered."""

    def __init__(self, database: Database, keys: KeyStore, randomness: Randomness) -> None:
        self._database = database
        self._keys = keys
        self._randomness = randomness
        self._subjects: OrderedDict[tuple[str, str], Subject] = OrderedDict()
        self._tenant_keys: dict[tuple[str, str], bytes] = {}

    async def unsealed(self, draft: Draft) -> Unsealed:
        """Return a draft with the key of its actor, made at the actor's first entry."""
        name = draft.subject
        subject = self._subjects.get((draft.tenant, name)) or await self._subject(draft.tenant, name)
        return Unsealed(draft, subject, self._tenant_key(draft.tenant, "fingerprint"))

    async def pseudonyms(self, tenant: str, actor_id: str) -> list[str]:
        """Return the pseudonyms under which an actor of any type stands in the log; empty once erased."""
        found = []
        async with self._database.transaction(tenant) as unit:
            for actor_type in ("user", "service"):
                row = await select_subject(unit, self._blind_index(tenant, f"{actor_type}:{actor_id}"))
                if row is not None:
                    found.append(row.pseudonym)
        return found

    async def keys(self, tenant: str, pseudonyms: Collection[str]) -> dict[str, hmac.HMAC]:
        """Return the keys of those of the subjects that are not erased, by pseudonym."""
        async with self._database.transaction(tenant) as unit:
            rows = await select_subjects_by_pseudonym(unit, pseudonyms)
        return {row.pseudonym: _extract(self._keys.unwrap(tenant, row.wrapped_key)) for row in rows}

    async def _subject(self, tenant: str, name: str) -> Subject:
        index = self._blind_index(tenant, name)
        fresh = SubjectRow(
            pseudonym=self._randomness.bytes(16).hex(),
            wrapped_key=self._keys.wrap(tenant, self._randomness.bytes(_KEY_BYTES)),
        )
        async with self._database.transaction(tenant) as unit:
            # Two replicas may meet a new actor at once: the row that is there first counts for both.
            while (row := await select_subject(unit, index)) is None:
                await insert_subject(unit, index, fresh)
        subject = Subject(row.pseudonym, _extract(self._keys.unwrap(tenant, row.wrapped_key)))
        self._subjects[tenant, name] = subject
        if len(self._subjects) > _REMEMBERED:
            self._subjects.popitem(last=False)
        return subject

    def _blind_index(self, tenant: str, name: str) -> bytes:
        """Return what finds a subject without naming it: a keyed hash."""
        return hmac.digest(self._tenant_key(tenant, "blind-index"), name.encode(), "sha256")

    def _tenant_key(self, tenant: str, purpose: str) -> bytes:
        key = self._tenant_keys.get((tenant, purpose))
        if key is None:
            key = self._tenant_keys[tenant, purpose] = self._keys.derive(tenant, purpose)
        return key


def open_part(keys: Mapping[str, hmac.HMAC], entry_id: str, pseudonym: str, sealed_part: bytes) -> PersonalPart:
    """Open a sealed part; without its subject's key, only the pseudonym is left."""
    if pseudonym not in keys:
        return PersonalPart(pseudonym)
    salt, key = _derive(keys[pseudonym], entry_id)
    return PersonalPart(pseudonym, salt, AESGCM(key).decrypt(_NONCE, sealed_part, None))


def _extract(subject_key: bytes) -> hmac.HMAC:
    """Return HMAC-SHA256 under HKDF's pseudorandom key (RFC 5869, 2.2, without salt), for all entries of a subject."""
    return hmac.new(hmac.digest(bytes(_KEY_BYTES), subject_key, "sha256"), digestmod="sha256")


def _derive(extracted: hmac.HMAC, entry_id: str) -> tuple[bytes, bytes]:
    """Return the commitment's salt and the encryption key of one entry: HKDF-SHA256's two blocks (RFC 5869, 2.3)."""
    info = entry_id.encode()
    salt = _block(extracted, info + b"\x01")
    return salt, _block(extracted, salt + info + b"\x02")


def _block(extracted: hmac.HMAC, data: bytes) -> bytes:
    block = extracted.copy()
    block.update(data)
    return block.digest()
