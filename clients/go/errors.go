package selfsame

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Reason is one of the stable reasons of docs/errors.md. A server may be newer and have others.
type Reason string

// The reasons.
const (
	NotAuthenticated       Reason = "NOT_AUTHENTICATED"
	NotPermitted           Reason = "NOT_PERMITTED"
	ProgramNotKnown        Reason = "PROGRAM_NOT_KNOWN"
	ProgramArchived        Reason = "PROGRAM_ARCHIVED"
	InvalidFields          Reason = "INVALID_FIELDS"
	InvalidPageToken       Reason = "INVALID_PAGE_TOKEN"
	MalformedMessage       Reason = "MALFORMED_MESSAGE"
	CursorForgotten        Reason = "CURSOR_FORGOTTEN"
	CursorOfAnotherLedger  Reason = "CURSOR_OF_ANOTHER_LEDGER"
	ContentDiffers         Reason = "CONTENT_DIFFERS"
	NotKnown               Reason = "NOT_KNOWN"
	Removed                Reason = "REMOVED"
	CaseClaimedByOther     Reason = "CASE_CLAIMED_BY_OTHER"
	CaseNotClaimed         Reason = "CASE_NOT_CLAIMED"
	CaseAlreadyResolved    Reason = "CASE_ALREADY_RESOLVED"
	CaseNotResolved        Reason = "CASE_NOT_RESOLVED"
	NotPossible            Reason = "NOT_POSSIBLE"
	ModelDoesNotFit        Reason = "MODEL_DOES_NOT_FIT"
	OwnAct                 Reason = "OWN_ACT"
	RevisionDiffers        Reason = "REVISION_DIFFERS"
	LedgerFull             Reason = "LEDGER_FULL"
	LedgerBusy             Reason = "LEDGER_BUSY"
	ServerBusy             Reason = "SERVER_BUSY"
	TooManyStreams         Reason = "TOO_MANY_STREAMS"
	CallerBusy             Reason = "CALLER_BUSY"
	CallerTooFast          Reason = "CALLER_TOO_FAST"
	AskedTooOften          Reason = "ASKED_TOO_OFTEN"
	CallerLeft             Reason = "CALLER_LEFT"
	MessageTooLarge        Reason = "MESSAGE_TOO_LARGE"
	DeadlineExceeded       Reason = "DEADLINE_EXCEEDED"
	LedgerUnavailable      Reason = "LEDGER_UNAVAILABLE"
	HeldElsewhere          Reason = "HELD_ELSEWHERE"
	ModelFolderUnavailable Reason = "MODEL_FOLDER_UNAVAILABLE"
	ShuttingDown           Reason = "SHUTTING_DOWN"
	RecordDamaged          Reason = "RECORD_DAMAGED"
	UnknownMethod          Reason = "UNKNOWN_METHOD"
	UnknownEncoding        Reason = "UNKNOWN_ENCODING"
	Internal               Reason = "INTERNAL"
)

// FieldViolation is a field that is wrong, or of ContentDiffers that differs, and why.
type FieldViolation struct {
	Field, Description string
}

// Error is a call that was refused or failed. No refusal is ever a decision: nothing defaults to APPROVED or RELEASE.
type Error struct {
	Code       codes.Code
	Message    string
	Reason     Reason
	Violations []FieldViolation
	// RetryAfter is what the server asks to wait; 0 when it says nothing.
	RetryAfter time.Duration
	// Metadata is what else the reason says, such as the `cursor` of a feed that ended.
	Metadata map[string]string
	status   *status.Status
}

// Error is the message with its reason and fields.
func (e *Error) Error() string {
	var fields strings.Builder
	for _, violation := range e.Violations {
		fmt.Fprintf(&fields, "; %s: %s", violation.Field, violation.Description)
	}
	return fmt.Sprintf("selfsame: %s %s: %s%s", e.Code, e.Reason, e.Message, fields.String())
}

// GRPCStatus lets status.FromError and status.Code see through.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// IsTransient: the same call may succeed later. Whether it may be repeated is another question: the client knows.
func (e *Error) IsTransient() bool {
	return e.RetryAfter > 0 || e.Code == codes.Unavailable || e.Code == codes.DeadlineExceeded || e.Code == codes.Internal
}

// IsOutcomeUnknown: a write may have been kept all the same. Repeat it under the same id.
func (e *Error) IsOutcomeUnknown() bool {
	return e.Code == codes.Unavailable || e.Code == codes.DeadlineExceeded || e.Code == codes.Internal || e.Code == codes.Canceled
}

// ReasonOf is the reason of an error, of a call or of a stream; empty when it is none of the server's.
func ReasonOf(err error) Reason {
	if err == nil {
		return ""
	}
	return errorOf(err).Reason
}

// ErrorOf is the error of a stream with what the server told of it; nil of nil. Unary calls return such errors by themselves.
func ErrorOf(err error) *Error {
	if err == nil {
		return nil
	}
	return errorOf(err)
}

func errorOf(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = status.FromContextError(err).Err()
	}
	stated := status.Convert(err)
	found := &Error{Code: stated.Code(), Message: stated.Message(), status: stated}
	for _, detail := range stated.Details() {
		switch told := detail.(type) {
		case *errdetails.ErrorInfo:
			found.Reason, found.Metadata = Reason(told.GetReason()), told.GetMetadata()
		case *errdetails.BadRequest:
			for _, violation := range told.GetFieldViolations() {
				found.Violations = append(found.Violations, FieldViolation{violation.GetField(), violation.GetDescription()})
			}
		case *errdetails.RetryInfo:
			found.RetryAfter = told.GetRetryDelay().AsDuration()
		}
	}
	return found
}
