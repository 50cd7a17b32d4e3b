"""Every field that can be wrong, of every request: INVALID_ARGUMENT, naming it."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.audit.v1 import log_pb2, sessions_pb2
from proofloop.audit.v1 import sessions_service_pb2 as contract

ID = "0190a000-0000-7000-8000-00000000000a"
FILE = {"name": "file", "sha256": "a" * 64}
FIGURE = {"name": "tokens", "value": "1"}
LATE, EARLY = Timestamp(seconds=10**15), Timestamp(seconds=-1)


def file(**fields) -> list[sessions_pb2.SessionFile]:
    return [sessions_pb2.SessionFile(**FILE | fields)]


def figure(**fields) -> list[sessions_pb2.Figure]:
    return [sessions_pb2.Figure(**FIGURE | fields)]


WRONG_FILES = [
    ("name", file(name="")),
    ("name", file(name="a\nb")),
    ("name", file(name="é" * 128)),
    ("size", file(size=-1)),
    ("sha256", file(sha256="A" * 64)),
    ("sha256", file(sha256="")),
    ("md5", file(md5="a" * 31)),
    ("media_type", file(media_type="pdf")),
]
WRONG_FIGURES = [
    ("name", figure(name="Tokens")),
    ("unit", figure(unit="a b")),
    *(
        ("value", figure(value=value))
        for value in ("", "1e3", "01", "1.", ".5", "NaN", "1" * 19, "0." + "1" * 13, "1\n")
    ),
]
WRONG = {
    "StartSession": [
        ("request_id", {"request_id": "17"}),
        ("user_id", {"user_id": "u" * 257}),
        ("kind", {"kind": ""}),
        ("kind", {"kind": "Parsing"}),
        ("kind", {"kind": "k" * 64}),
        ("title", {"title": "t" * 201}),
        ("title", {"title": "a\nb"}),
        ("message", {"message": "m" * 2001}),
        ("message", {"message": "\x01"}),
        ("claim_id", {"claim_id": "claim-1"}),
        ("start_time", {"start_time": LATE}),
        ("start_time", {"start_time": EARLY}),
        ("input_files", {"input_files": file() * 51}),
        *((f"input_files[0].{field}", {"input_files": wrong}) for field, wrong in WRONG_FILES),
    ],
    "RecordEvent": [
        ("session_id", {"session_id": "17"}),
        ("type", {"type": "quality-check"}),
        ("event_time", {"event_time": EARLY}),
        ("duration", {"duration": Duration(seconds=-1)}),
        ("duration", {"duration": Duration(seconds=31_622_401)}),
        ("outcome", {"outcome": 9}),
        ("message", {"message": "m" * 2001}),
        ("details_json", {"details_json": '"' + "d" * 16_384 + '"'}),
        ("figures", {"figures": [sessions_pb2.Figure(name=f"f{n}", value="1") for n in range(21)]}),
        ("", {"figures": figure() * 2}),
        *((f"figures[0].{field}", {"figures": wrong}) for field, wrong in WRONG_FIGURES),
    ],
    "EndSession": [
        ("outcome", {"outcome": log_pb2.OUTCOME_UNSPECIFIED}),
        ("outcome", {"outcome": log_pb2.OUTCOME_DENIED}),
        ("end_time", {"end_time": LATE}),
        ("error", {"error": "e" * 2001}),
        ("output_files", {"output_files": file() * 51}),
        ("output_files[0].sha256", {"output_files": file(sha256="")}),
        ("", {"figures": figure() * 2}),
        ("", {"outcome": log_pb2.OUTCOME_SUCCESS, "error": "an error without failure"}),
    ],
    "GetSession": [
        ("session_id", {"session_id": ""}),
        ("page_size", {"page_size": 101}),
        ("page_token", {"page_token": "t" * 513}),
    ],
    "ListSessions": [
        ("user_id", {"user_id": "u" * 257}),
        ("kind", {"kind": "k" * 64}),
        ("states[0]", {"states": [sessions_pb2.SESSION_STATE_UNSPECIFIED]}),
        ("claim_id", {"claim_id": "claim-1"}),
        ("file_sha256", {"file_sha256": "a" * 63}),
        ("page_size", {"page_size": 101}),
        ("", {"start_time": Timestamp(seconds=2), "end_time": Timestamp(seconds=2)}),
    ],
    "ExportHistory": [
        ("claim_id", {"claim_id": "claim-1"}),
        ("file_sha256", {"file_sha256": "a" * 63}),
        ("", {"start_time": Timestamp(seconds=2), "end_time": Timestamp(seconds=2)}),
    ],
    "GetStatistics": [("days", {"days": -1}), ("days", {"days": 367}), ("kind", {"kind": "=1+1"})],
    "GenerateReport": [("days", {"days": 367}), ("kind", {"kind": "=1+1"}), ("format", {"format": 9})],
}
RIGHT = {
    "StartSession": {"request_id": ID, "kind": "parsing"},
    "RecordEvent": {"request_id": ID, "session_id": ID, "type": "parsing"},
    "EndSession": {"request_id": ID, "session_id": ID, "outcome": log_pb2.OUTCOME_FAILURE},
    "GetSession": {"session_id": ID},
}


async def test_whatever_breaks_a_rule_is_refused_by_name(sessions, refused) -> None:
    for method, cases in WRONG.items():
        for field, wrong in cases:
            request = getattr(contract, f"{method}Request")(**RIGHT.get(method, {}) | wrong)
            with refused("INVALID_ARGUMENT", "INVALID_FIELD") as refusals:
                answer = getattr(sessions, method)(request)
                await (answer.read() if method in {"ExportHistory", "GenerateReport"} else answer)
            assert refusals[0].fields == (field,), (method, wrong)
