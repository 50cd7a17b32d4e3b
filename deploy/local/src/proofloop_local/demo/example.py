"""The example claim, as files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from proofloop_local.errors import ServerError


@dataclass(frozen=True, slots=True)
class Example:
    """What the demo plays.

    Attributes:
        claim: Title, kind and facts, in proto3 JSON of CreateClaimRequest.
        evidence: The files.
        prompt: Question, options and the answer that a person gives.
        workflow: What the three stages of the export record.
    """

    claim: dict[str, Any]
    evidence: tuple[Path, ...]
    prompt: dict[str, Any]
    workflow: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the example.

        Raises:
            ServerError: the folder does not hold one.
        """
        try:
            claim, prompt, workflow = (
                json.loads((folder / f"{name}.json").read_text()) for name in ("claim", "prompt", "workflow")
            )
        except FileNotFoundError as error:
            raise ServerError(
                f"There is no example in {folder}", "Run the demo in the project's folder, or give --example"
            ) from error
        return cls(claim, tuple(sorted((folder / "evidence").iterdir())), prompt, workflow)
