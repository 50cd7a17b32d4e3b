"""Files that exist while a stream passes through: received whole, looked at, handed on, gone.

They live in a folder of this process alone, so that memory stays constant whatever the size of a file.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

Sight = Callable[[bytes], None]


class Spool:
    """A folder for passing files.

    Args:
        folder: Exists; nobody else writes there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def holding(self, pieces: AsyncIterable[bytes], sight: Sight) -> AsyncIterator[Path]:
        """Write pieces to a file that lives as long as the block.

        Args:
            pieces: The bytes.
            sight: Sees each piece before it is written, in another thread; what it raises ends the stream.
        """
        file = await asyncio.to_thread(NamedTemporaryFile, "w+b", dir=self._folder)
        try:

            def take(piece: bytes) -> None:
                sight(piece)
                file.write(piece)

            async for piece in pieces:
                await asyncio.to_thread(take, piece)
            await asyncio.to_thread(file.flush)
            yield Path(file.name)
        finally:
            await asyncio.to_thread(file.close)
