"""Personal parts: encrypted under a key per data subject, bound to the leaf by a commitment.

Per subject and tenant there is one random key, wrapped by the key store, and one random pseudonym; in a tenant with a
retention, one of each per period. For each entry,
HKDF(subject key, entry id) yields the salt of the commitment and the key of the encryption, so destroying the subject
key destroys both at once, and every hash and proof stays.
"""

import hmac
from collections import Counter, OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from proofloop_runtime.call import CallerType
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.events import Actor
from proofloop_runtime.ports import KeyStore, Randomness
from proofloop_verifier.leaf import SubjectCommitment, commitment

from proofloop_audit.log.domain import Draft, PersonalPart
from proofloop_audit.log.periods import Periods
from proofloop_audit.log.store import (
    SubjectRow,
    insert_subject,
    select_pseudonyms,
    select_subject,
    select_subjects_by_pseudonym,
)

_REMEMBERED = 10_000
_KEY_BYTES = 32
# Each entry has an encryption key of its own, used once, so a constant nonce is safe (NIST SP 800-38D, 8.3).
_NONCE = bytes(12)


@dataclass(frozen=True, slots=True)
class Subject:
    """A data subject's pseudonym and key, in the clear.

    Attributes:
        pseudonym: Its name in leaves.
        key: Its key.
        generation: The tenant's generation of keys when this one was looked up.
    """

    pseudonym: str
    key: hmac.HMAC = field(repr=False)
    generation: int


@dataclass(slots=True)
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
    _sealed: "Sealed | None" = field(default=None, init=False, repr=False)

    def seal(self) -> "Sealed":
        """Seal the personal part: once, so that it can be done before the entry's turn comes."""
        if self._sealed is None:
            draft = self.draft
            part = draft.personal_part()
            salt, key = _derive(self.subject.key, draft.entry_id)
            self._sealed = Sealed(
                draft,
                SubjectCommitment(self.subject.pseudonym, commitment(salt, part)),
                AESGCM(key).encrypt(_NONCE, part, None),
                _fingerprint(self.fingerprint_key, draft, part),
            )
        return self._sealed


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


class SealedName(NamedTuple):
    """The name of a data subject under its own key, for other tables than the log.

    Attributes:
        pseudonym: The subject's.
        name: `<type>:<id>`, encrypted; unreadable once the subject is erased.
    """

    pseudonym: str
    name: bytes


class Sealer:
    """Knows the keys that personal parts are sealed and opened with. Keys that were used lately are remembered.

    Remembered keys belong to a generation, per tenant, which ends when the sequencer finds in the log that a key was
    destroyed, and with the tenant's period. Where it seals, it accepts keys of the present generation alone.

    Args:
        database: The service's database.
        keys: Wraps keys.
        randomness: Makes keys and pseudonyms.
        periods: The tenants' periods; None: whoever only reads needs none.
    """

    def __init__(
        self, database: Database, keys: KeyStore, randomness: Randomness, periods: Periods | None = None
    ) -> None:
        self._database = database
        self._keys = keys
        self._randomness = randomness
        self._periods = periods
        self._subjects: OrderedDict[tuple[str, str], Subject] = OrderedDict()
        self._tenant_keys: dict[tuple[str, str], bytes] = {}
        self._generations: Counter[str] = Counter()

    def remembered(self, draft: Draft) -> Unsealed | None:
        """Return a draft with the key of its actor, if that was used lately: what `unsealed` does without waiting."""
        subject = self._subjects.get((draft.tenant, draft.subject))
        return None if subject is None else Unsealed(draft, subject, self._tenant_key(draft.tenant, "fingerprint"))

    async def unsealed(self, draft: Draft) -> Unsealed:
        """Return a draft with the key of its actor, made at the actor's first entry."""
        if (entry := self.remembered(draft)) is not None:
            return entry
        subject = await self._subject(draft.tenant, draft.subject)
        return Unsealed(draft, subject, self._tenant_key(draft.tenant, "fingerprint"))

    async def renewed(self, entry: Unsealed) -> Unsealed:
        """Return an entry with a key of its actor that is of the present generation."""
        tenant, name = entry.draft.tenant, entry.draft.subject
        subject = self._subjects.get((tenant, name))
        if subject is None or subject.generation != self.generation(tenant):
            subject = await self._subject(tenant, name)
        return Unsealed(entry.draft, subject, entry.fingerprint_key)

    async def unsealed_within(self, unit: UnitOfWork, drafts: Sequence[Draft]) -> list[Unsealed]:
        """Return drafts of one actor with the key that they have in a transaction."""
        subject = await self.subject_within(unit, drafts[0].subject)
        fingerprint_key = self._tenant_key(unit.tenant, "fingerprint")
        return [Unsealed(draft, subject, fingerprint_key) for draft in drafts]

    async def subject_within(self, unit: UnitOfWork, name: str) -> Subject:
        """Return the subject of this name as it is in a transaction, made there if it is new in its period."""
        tenant = unit.tenant
        generation = self.generation(tenant)
        seal_until = None if self._periods is None else self._periods.end(tenant)
        index = self.blind_index(tenant, name)
        fresh = SubjectRow(
            pseudonym=self.new_pseudonym(),
            wrapped_key=self._keys.wrap(tenant, self._randomness.bytes(_KEY_BYTES)),
        )
        # Two replicas may meet a new actor at once: the row that is there first counts for both.
        while (row := await select_subject(unit, index, seal_until)) is None:
            await insert_subject(unit, index, fresh, seal_until)
        return Subject(row.pseudonym, _extract(self._keys.unwrap(tenant, row.wrapped_key)), generation)

    async def pseudonyms_within(self, unit: UnitOfWork, *names: str) -> list[str]:
        """Return the pseudonyms of subjects in all periods, the newest first; none if the log knows nobody by them."""
        return await select_pseudonyms(unit, [self.blind_index(unit.tenant, name) for name in names])

    def new_pseudonym(self) -> str:
        """Return a pseudonym that nobody has."""
        return self._randomness.bytes(16).hex()

    def generation(self, tenant: str) -> int:
        """Return the present generation of a tenant's keys."""
        if self._periods is not None and self._periods.changed(tenant):
            self.end_generation(tenant)
        return self._generations[tenant]

    def end_generation(self, tenant: str) -> None:
        """Trust none of a tenant's keys that were looked up until now: they may be destroyed, or their period over."""
        self._generations[tenant] += 1
        for key in [key for key in self._subjects if key[0] == tenant]:
            del self._subjects[key]

    async def pseudonyms(self, tenant: str, actor_id: str) -> list[str]:
        """Return the pseudonyms under which an actor of any type stands in the log; none once erased."""
        async with self._database.transaction(tenant) as unit:
            return await self.pseudonyms_within(unit, *(f"{kind}:{actor_id}" for kind in CallerType))

    async def keys(self, tenant: str, pseudonyms: Collection[str]) -> dict[str, hmac.HMAC]:
        """Return the keys of those of the subjects that are not erased, by pseudonym."""
        async with self._database.transaction(tenant) as unit:
            return await self.keys_within(unit, pseudonyms)

    async def keys_within(self, unit: UnitOfWork, pseudonyms: Collection[str]) -> dict[str, hmac.HMAC]:
        """Return the keys of those of the subjects that are not erased in a transaction, by pseudonym."""
        rows = await select_subjects_by_pseudonym(unit, pseudonyms)
        return {row.pseudonym: _extract(self._keys.unwrap(unit.tenant, row.wrapped_key)) for row in rows}

    def subject_key(self, tenant: str, wrapped_key: bytes) -> hmac.HMAC | None:
        """Return a subject's key as it was stored; None if that is not what was stored once."""
        try:
            return _extract(self._keys.unwrap(tenant, wrapped_key))
        # ValueError: it has not even the length of one.
        except (InvalidTag, ValueError):
            return None

    def fingerprint(self, draft: Draft, part: bytes) -> bytes:
        """Return what recognises a repetition of an entry with this personal part."""
        return _fingerprint(self._tenant_key(draft.tenant, "fingerprint"), draft, part)

    async def _subject(self, tenant: str, name: str) -> Subject:
        async with self._database.transaction(tenant) as unit:
            subject = await self.subject_within(unit, name)
        self._subjects[tenant, name] = subject
        if len(self._subjects) > _REMEMBERED:
            self._subjects.popitem(last=False)
        return subject

    def blind_index(self, tenant: str, name: str) -> bytes:
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


def _fingerprint(key: bytes, draft: Draft, part: bytes) -> bytes:
    return blake2b(draft.fingerprint_input(part), key=key, digest_size=_KEY_BYTES).digest()


def name_of(actor: Actor) -> str:
    """Return the name of a data subject: its kind and its id."""
    return f"{actor.type}:{actor.id}"


def to_actor(name: str) -> Actor:
    """Return whom a name names."""
    kind, _, actor_id = name.partition(":")
    return Actor(CallerType(kind), actor_id)


def seal_name(subject: Subject, place: str, name: str) -> SealedName:
    """Seal the name of a subject for one place, in which no other name is ever sealed."""
    _, key = _derive(subject.key, place)
    return SealedName(subject.pseudonym, AESGCM(key).encrypt(_NONCE, name.encode(), None))


def open_name(keys: Mapping[str, hmac.HMAC], place: str, sealed: SealedName) -> str | None:
    """Open the name of a subject; None once it was erased."""
    if sealed.pseudonym not in keys:
        return None
    _, key = _derive(keys[sealed.pseudonym], place)
    return AESGCM(key).decrypt(_NONCE, sealed.name, None).decode()


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
