"""A report on the sessions of the last days: what it says, and in which forms."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from google.protobuf import json_format

from proofloop_audit.sessions import report_pdf, report_xlsx
from proofloop_audit.sessions.figures import from_statistics
from proofloop_audit.sessions.statistics import Statistics


class Format(StrEnum):
    """The file format of a report; the value is the extension of its name."""

    PDF = "pdf"
    XLSX = "xlsx"
    JSON = "json"


MEDIA_TYPES: Final[Mapping[Format, str]] = {
    Format.PDF: "application/pdf",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.JSON: "application/json",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says. `kind` is None where it is about all kinds."""

    tenant: str
    create_time: datetime
    kind: str | None
    statistics: Statistics

    def file_name(self, format_: Format) -> str:
        """Return a name that every file system takes: tenants and kinds have no other characters."""
        parts = [
            "sessions",
            self.tenant,
            *([self.kind] if self.kind else []),
            self.statistics.window.last_day.isoformat(),
        ]
        return f"{'_'.join(parts)}.{format_}"

    def document(self) -> bytes:
        """Return its JSON form, UTF-8."""
        document: dict[str, Any] = {
            "tenant": self.tenant,
            "create_time": self.create_time.isoformat().replace("+00:00", "Z"),
            "kind": self.kind,
            "statistics": json_format.MessageToDict(
                from_statistics(self.statistics), always_print_fields_with_no_presence=True
            ),
        }
        return (json.dumps(document, indent=2) + "\n").encode()


def render(report: Report, format_: Format) -> bytes:
    """Return the report as a file. Takes up to a second of processor time: call it in a thread."""
    return _RENDERERS[format_](report)


_RENDERERS: Final[Mapping[Format, Callable[[Report], bytes]]] = {
    Format.PDF: lambda report: report_pdf.render(
        report.tenant, report.create_time, report.kind, report.statistics, report.document()
    ),
    Format.XLSX: lambda report: report_xlsx.render(report.tenant, report.create_time, report.kind, report.statistics),
    Format.JSON: Report.document,
}
