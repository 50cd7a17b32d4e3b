"""What a person's review changed."""

from dataclasses import dataclass

from proofloop_exports.errors import OriginalDataDiffers
from proofloop_exports.workflows.changes import ABSENT, Change, apply, compare, patch
from proofloop_exports.workflows.documents import (
    Document,
    first_difference,
    pointer,
    read_document,
    shown,
    write,
)
from proofloop_exports.workflows.records import ChangeLine, Changes


@dataclass(frozen=True, slots=True)
class Review:
    """What a person was shown, what they made of it, and the difference."""

    original: Document
    modified: Document
    changes: Changes


def review(original_json: str, modified_json: str) -> Review:
    """Read the two documents of a request and compare them; the patch is proven before anybody relies on it.

    Takes up to a second or two of processor time for the largest documents.

    Raises:
        DocumentInvalid: one of them is not a document.
    """
    original = read_document(original_json, field="original_data_json")
    modified = read_document(modified_json, field="modified_data_json")
    found = compare(original, modified)
    if first_difference(apply(found, original), modified) is not None:
        raise AssertionError("the computed changes do not lead to the modified document")
    changes = Changes(write(patch(found)), tuple(map(_line, found)))
    return Review(Document(original_json), Document(modified_json), changes)


def check_original(extracted: Document, original: Document) -> None:
    """Check that a person was shown what was extracted, however it was spelled.

    Raises:
        OriginalDataDiffers: they were shown something else.
    """
    if extracted == original:
        return
    difference = first_difference(extracted.value, original.value)
    if difference is not None:
        place = shown(difference)
        message = f"original data differs from what was extracted at {place or 'the document itself'}"
        raise OriginalDataDiffers(message, field="original_data_json", path=place)


def _line(change: Change) -> ChangeLine:
    return ChangeLine(
        change.kind,
        pointer(change.path),
        None if change.old is ABSENT else write(change.old),
        None if change.new is ABSENT else write(change.new),
    )
