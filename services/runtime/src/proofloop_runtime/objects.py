"""The object store: large immutable bytes under a key, streamed in and out in constant memory.

Beside them, small objects that are written on a condition: once, or in place of what the writer has seen.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store
from opentelemetry.trace import SpanKind

from proofloop_runtime import telemetry
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.errors import DependencyUnavailable
from proofloop_runtime.object_settings import S3Settings

if TYPE_CHECKING:
    from obstore import BytesStream  # exists for type checkers only

DEPENDENCY = "object_store"

PIECE_BYTES = 256 * 1024
PART_BYTES = 8 * 1024 * 1024
SMALL_BYTES = 32 * 1024 * 1024
"""Longest object that is read whole."""


class ObjectNotFound(Exception):
    """The store has nothing under this key."""


class ObjectRequestRefused(Exception):
    """The store answers and will not do this: wrong credentials, no permission, or a request that it does not know."""


@dataclass(frozen=True, slots=True)
class SmallObject:
    """An object as it was read.

    Attributes:
        content: All of it.
        version: Names this very content to `put_if`: the entity tag (RFC 9110, section 8.8.3).
    """

    content: bytes
    version: str


class ObjectStore(Protocol):
    """Keeps immutable objects. A key means the same bytes for ever, so that writing one again harms nothing.

    Every method raises DependencyUnavailable when the store is not there.
    """

    async def put(self, key: str, content: bytes | Path, *, media_type: str, file_name: str) -> None:
        """Store bytes, or the bytes of a file, all at once or not at all.

        Nothing is sent if an object of this key and size is there already. Readers who come by a signed URL
        are told the media type and to save it as `file_name`.
        """

    async def get(self, key: str) -> AsyncIterator[bytes]:
        """Return the object's bytes in pieces of at most `PIECE_BYTES`.

        Raises:
            ObjectNotFound: there is none. It is raised by the call, before the first piece.
        """

    async def size(self, key: str) -> int | None:
        """Return the object's length in bytes; None when there is none."""

    async def signed_url(self, key: str, lifetime: timedelta) -> str:
        """Return a URL that fetches the object without credentials until its lifetime is over."""


class SmallObjects(Protocol):
    """Keeps small objects, read and written whole, for writers who must not overwrite what they have not seen.

    Every method raises DependencyUnavailable when the store is not there, and ObjectRequestRefused when it will
    not do it.
    """

    async def read(self, key: str) -> SmallObject | None:
        """Return an object of at most `SMALL_BYTES`; None when there is none.

        Raises:
            ValueError: it is longer.
        """

    async def put_if(
        self, key: str, content: bytes, *, replacing: str | None, media_type: str, cache_control: str
    ) -> bool:
        """Store bytes in place of the version `replacing`, or, where that is None, under a key that is free.

        Returns False, having stored nothing, if something else is there (conditional requests, RFC 9110, section 13).
        After DependencyUnavailable it is open whether they were stored. Readers are told the media type and how long
        they may keep the object (`Cache-Control`, RFC 9111).
        """

    async def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    def keys(self, folder: str) -> AsyncIterator[str]:
        """Return the keys that begin with `folder` and a slash, in no order, a thousand at a time."""


_REFUSED = (NotSupportedError, PermissionDeniedError, UnauthenticatedError)
_NOT_AS_SEEN = (AlreadyExistsError, PreconditionError)


def is_unavailable(error: BaseException) -> bool:
    """Tell whether an error says that the store, and not the request, is at fault."""
    answered = (FileNotFoundError, *_REFUSED, *_NOT_AS_SEEN)
    return isinstance(error, BaseError | OSError) and not isinstance(error, answered)


class S3Objects:
    """The objects of an S3 bucket."""

    def __init__(self, settings: S3Settings, breakers: Breakers) -> None:
        self._store = _s3_store(settings, settings.endpoint)
        self._signer = _s3_store(settings, settings.public_endpoint or settings.endpoint)
        self._breaker = breakers.get(DEPENDENCY, is_unavailable)

    async def put(self, key: str, content: bytes | Path, *, media_type: str, file_name: str) -> None:
        """Store bytes, or the bytes of a file."""
        length = len(content) if isinstance(content, bytes) else await asyncio.to_thread(_length, content)
        with self._calling("put", key):
            if await self._size(key) == length:
                return
            await obstore.put_async(
                self._store,
                key,
                content,
                attributes={"Content-Type": media_type, "Content-Disposition": _attachment(file_name)},
                chunk_size=PART_BYTES,
                max_concurrency=2,
            )

    async def get(self, key: str) -> AsyncIterator[bytes]:
        """Return the object's bytes in pieces."""
        with self._calling("get", key):
            result = await obstore.get_async(self._store, key)
        return self._pieces(result.stream(min_chunk_size=PIECE_BYTES))

    async def size(self, key: str) -> int | None:
        """Return the object's length in bytes."""
        with self._calling("head", key):
            return await self._size(key)

    async def signed_url(self, key: str, lifetime: timedelta) -> str:
        """Return a URL that fetches the object."""
        with self._calling("sign", key):
            return await obstore.sign_async(self._signer, "GET", key, lifetime)

    async def read(self, key: str) -> SmallObject | None:
        """Return an object of at most `SMALL_BYTES`."""
        try:
            with self._calling("get", key):
                result = await obstore.get_async(self._store, key)
                if result.meta["size"] > SMALL_BYTES:
                    raise ValueError(f"an object of {result.meta['size']} bytes is not small")
                return SmallObject(bytes(await result.bytes_async()), result.meta["e_tag"] or "")
        except ObjectNotFound:
            return None

    async def put_if(
        self, key: str, content: bytes, *, replacing: str | None, media_type: str, cache_control: str
    ) -> bool:
        """Store bytes in place of a version that was read, or under a key that is free."""
        with self._calling("put", key):
            try:
                await obstore.put_async(
                    self._store,
                    key,
                    content,
                    attributes={"Content-Type": media_type, "Cache-Control": cache_control},
                    mode="create" if replacing is None else {"e_tag": replacing},
                )
            except _NOT_AS_SEEN:
                return False
        return True

    async def delete(self, key: str) -> None:
        """Remove an object."""
        with self._calling("delete", key), suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)

    async def keys(self, folder: str) -> AsyncIterator[str]:
        """Return the keys of a folder."""
        pages = obstore.list(self._store, folder, chunk_size=1000)
        while True:
            with self._calling("list", folder):
                page = await anext(pages, None)
            if page is None:
                return
            for found in page:
                yield found["path"]

    async def ready(self) -> bool:
        """Tell whether the bucket answers; for health."""
        try:
            await self.size("ready")
        except DependencyUnavailable:
            return False
        return True

    async def _size(self, key: str) -> int | None:
        try:
            return (await obstore.head_async(self._store, key))["size"]
        except FileNotFoundError:
            return None

    async def _pieces(self, stream: "BytesStream") -> AsyncIterator[bytes]:
        while True:
            with self._translated():
                buffer = await anext(stream, None)
            if buffer is None:
                return
            view = memoryview(buffer)
            for start in range(0, len(view), PIECE_BYTES):
                yield bytes(view[start : start + PIECE_BYTES])

    @contextmanager
    def _calling(self, operation: str, key: str) -> Iterator[None]:
        attributes = {telemetry.DEPENDENCY: DEPENDENCY, telemetry.OBJECT_KEY: key}
        with telemetry.span(f"{telemetry.OBJECTS_SPAN}.{operation}", SpanKind.CLIENT, attributes), self._translated():
            yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            # The breaker stands inside: it must see what the store said, not what we make of it.
            with self._breaker.calling():
                yield
        except FileNotFoundError as error:
            raise ObjectNotFound("the object store has nothing under this key") from error
        except _REFUSED as error:
            raise ObjectRequestRefused("the object store refused the request") from error
        except (BaseError, OSError) as error:
            if is_unavailable(error):
                raise DependencyUnavailable(DEPENDENCY) from error
            raise


def _s3_store(settings: S3Settings, endpoint: str) -> S3Store:
    return S3Store(
        settings.bucket,
        endpoint=endpoint,
        region=settings.region,
        access_key_id=settings.access_key,
        secret_access_key=settings.secret_key,
        virtual_hosted_style_request=False,
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=3),
            "timeout": timedelta(seconds=60),
        },
        # obstore's own default goes on for three minutes: longer than any caller waits.
        retry_config={
            "max_retries": 2,
            "retry_timeout": timedelta(seconds=10),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=1),
                "base": 2,
            },
        },
    )


def _length(file: Path) -> int:
    return file.stat().st_size


def _attachment(file_name: str) -> str:
    """Return a Content-Disposition that saves under this name (RFC 6266), whatever its characters."""
    return f"attachment; filename*=UTF-8''{quote(file_name, safe='')}"
