"""What a span is called in a waterfall: the few words that say most (OpenTelemetry semantic conventions)."""

import re
from collections.abc import Sequence

from proofloop_local.spans import Span

TIMES = "\N{MULTIPLICATION SIGN}"
QUERY = "db.query.text"
STATUS = "rpc.response.status_code"
ERROR = "error.type"
TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+\"?([a-z_]+)\b(?!\()")
FUNCTION = re.compile(r"SELECT ([a-z_]+)\(")


def title(span: Span) -> str:
    """The span's name: of a call without the package, which the service says already; of a statement with its table."""
    package, _, method = span.name.rpartition("/")
    if package.startswith("proofloop."):
        return f"{package.rpartition('.')[2]}/{method}"
    query = str(span.attributes.get(QUERY, ""))
    target = TABLE.search(query) or FUNCTION.match(query)
    return f"{span.name} {target[1]}" if target else span.name


def is_statement(span: Span) -> bool:
    """Whether it is an SQL statement."""
    return QUERY in span.attributes


def several(spans: Sequence[Span]) -> str:
    """What spans that follow each other are called together: by their one title, or as statements by their tables."""
    titles = list(dict.fromkeys(title(span) for span in spans))
    if len(titles) == 1:
        return f"{titles[0]} {TIMES}{len(spans)}"
    tables = dict.fromkeys(name.partition(" ")[2] for name in titles)
    return f"{len(spans)} statements: {', '.join(filter(None, tables))}"


def is_tenant_choice(span: Span) -> bool:
    """Whether it is the statement by which every transaction says for which tenant it is."""
    return str(span.attributes.get(QUERY, "")).startswith("SELECT set_config(")


def outcome(span: Span) -> str:
    """How it ended where that was not well: a gRPC status, an error's type, its message; else nothing."""
    status = str(span.attributes.get(STATUS, "OK"))
    kind = str(span.attributes.get(ERROR, ""))
    words = [word for word in dict.fromkeys((status, kind, span.message)) if word not in {"", "OK"}]
    return ": ".join(words)
