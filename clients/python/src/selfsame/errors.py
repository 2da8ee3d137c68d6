"""Refusals of the server as exceptions, by `google.rpc` details. docs/errors.md says what each reason asks for."""

from __future__ import annotations

import dataclasses
import enum

import grpc
from google.rpc import error_details_pb2, status_pb2

_DETAILS = "grpc-status-details-bin"


class Reason(str, enum.Enum):
    """The stable reasons of docs/errors.md. A server may be newer: `SelfsameError.reason` is a text, and compares with these."""

    NOT_AUTHENTICATED = "NOT_AUTHENTICATED"
    NOT_PERMITTED = "NOT_PERMITTED"
    PROGRAM_NOT_KNOWN = "PROGRAM_NOT_KNOWN"
    PROGRAM_ARCHIVED = "PROGRAM_ARCHIVED"
    INVALID_FIELDS = "INVALID_FIELDS"
    INVALID_PAGE_TOKEN = "INVALID_PAGE_TOKEN"
    MALFORMED_MESSAGE = "MALFORMED_MESSAGE"
    CURSOR_FORGOTTEN = "CURSOR_FORGOTTEN"
    CURSOR_OF_ANOTHER_LEDGER = "CURSOR_OF_ANOTHER_LEDGER"
    CONTENT_DIFFERS = "CONTENT_DIFFERS"
    NOT_KNOWN = "NOT_KNOWN"
    REMOVED = "REMOVED"
    CASE_CLAIMED_BY_OTHER = "CASE_CLAIMED_BY_OTHER"
    CASE_NOT_CLAIMED = "CASE_NOT_CLAIMED"
    CASE_ALREADY_RESOLVED = "CASE_ALREADY_RESOLVED"
    CASE_NOT_RESOLVED = "CASE_NOT_RESOLVED"
    NOT_POSSIBLE = "NOT_POSSIBLE"
    MODEL_DOES_NOT_FIT = "MODEL_DOES_NOT_FIT"
    OWN_ACT = "OWN_ACT"
    REVISION_DIFFERS = "REVISION_DIFFERS"
    LEDGER_FULL = "LEDGER_FULL"
    LEDGER_BUSY = "LEDGER_BUSY"
    SERVER_BUSY = "SERVER_BUSY"
    TOO_MANY_STREAMS = "TOO_MANY_STREAMS"
    CALLER_BUSY = "CALLER_BUSY"
    CALLER_TOO_FAST = "CALLER_TOO_FAST"
    ASKED_TOO_OFTEN = "ASKED_TOO_OFTEN"
    CALLER_LEFT = "CALLER_LEFT"
    MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    LEDGER_UNAVAILABLE = "LEDGER_UNAVAILABLE"
    HELD_ELSEWHERE = "HELD_ELSEWHERE"
    MODEL_FOLDER_UNAVAILABLE = "MODEL_FOLDER_UNAVAILABLE"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    RECORD_DAMAGED = "RECORD_DAMAGED"
    UNKNOWN_METHOD = "UNKNOWN_METHOD"
    UNKNOWN_ENCODING = "UNKNOWN_ENCODING"
    INTERNAL = "INTERNAL"


@dataclasses.dataclass(frozen=True)
class FieldViolation:
    """A field that is wrong, or of `CONTENT_DIFFERS` that differs, and why."""

    field: str
    description: str


class SelfsameError(Exception):
    """A call that was refused or failed. No refusal is ever a decision: nothing defaults to APPROVED or RELEASE."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = ""
        self.metadata: dict[str, str] = {}
        self.violations: list[FieldViolation] = []
        self.retry_after: float | None = None

    def __str__(self) -> str:
        fields = "".join(f"; {violation.field}: {violation.description}" for violation in self.violations)
        return f"{self.code.name} {self.reason}: {self.message}{fields}"

    @property
    def is_transient(self) -> bool:
        """Whether the same call may succeed later. Whether it may be repeated is another question: `Client` knows."""
        return self.retry_after is not None or self.code in _TRANSIENT

    @property
    def is_outcome_unknown(self) -> bool:
        """Whether a write may have been kept all the same: repeat it under the same id."""
        return self.code in _TRANSIENT or self.code == grpc.StatusCode.CANCELLED


class InvalidRequest(SelfsameError):
    """`INVALID_ARGUMENT`: fix the message; `violations` names every field."""


class ContentDiffers(SelfsameError):
    """`ALREADY_EXISTS`: the id was used with other content. The first answer stands."""


class NotKnown(SelfsameError):
    """`NOT_FOUND`: no such thing in the programme, or no such programme."""


class NotPossible(SelfsameError):
    """`FAILED_PRECONDITION` and `ABORTED`: the state does not allow it."""


class NotAllowed(SelfsameError):
    """`UNAUTHENTICATED` and `PERMISSION_DENIED`."""


class CursorLost(SelfsameError):
    """`OUT_OF_RANGE`: what came after the cursor is not there any more. Begin again without one, and compare."""


class Busy(SelfsameError):
    """`RESOURCE_EXHAUSTED`: nothing was done. Wait for `retry_after`, if it is given."""


class Unavailable(SelfsameError):
    """`UNAVAILABLE`, `DEADLINE_EXCEEDED`, `INTERNAL`, `CANCELLED`: it is not known whether a write was kept."""


_CODE = grpc.StatusCode
_TRANSIENT = frozenset({_CODE.UNAVAILABLE, _CODE.DEADLINE_EXCEEDED, _CODE.INTERNAL})
_CLASSES = {
    _CODE.INVALID_ARGUMENT: InvalidRequest,
    _CODE.ALREADY_EXISTS: ContentDiffers,
    _CODE.NOT_FOUND: NotKnown,
    _CODE.FAILED_PRECONDITION: NotPossible,
    _CODE.ABORTED: NotPossible,
    _CODE.UNAUTHENTICATED: NotAllowed,
    _CODE.PERMISSION_DENIED: NotAllowed,
    _CODE.OUT_OF_RANGE: CursorLost,
    _CODE.RESOURCE_EXHAUSTED: Busy,
    _CODE.UNAVAILABLE: Unavailable,
    _CODE.DEADLINE_EXCEEDED: Unavailable,
    _CODE.INTERNAL: Unavailable,
    _CODE.CANCELLED: Unavailable,
}


def error_of(failed: grpc.RpcError) -> SelfsameError:
    """The exception for a call that failed."""
    code = failed.code()
    error = _CLASSES.get(code, SelfsameError)(code, failed.details() or "")
    details = next((value for name, value in failed.trailing_metadata() or () if name == _DETAILS), None)
    if details is None:
        return error
    info, fields, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status_pb2.Status.FromString(details).details:
        if detail.Unpack(info):
            error.reason, error.metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(fields):
            error.violations = [FieldViolation(violation.field, violation.description) for violation in fields.field_violations]
        elif detail.Unpack(retry):
            error.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    return error
