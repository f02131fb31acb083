// Package problem holds the one error type that crosses package borders in Acrux.
//
// A problem.Error is for errors a user can act on. It says what kind of error it
// is (each edge maps the kind to its own status), carries the stable code clients
// know, a message for people, and hints: what to do next, a command if there is
// one. Everything else stays an ordinary wrapped error and reaches users only as
// "internal error" with a request id.
//
// Renderers live at the edges: server/armapi writes {"error":{…}}, registryapi
// {"errors":[…]}, loginapi error and error_description, the CLI "error:" and "hint:".
package problem

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
)

// Kind classifies an error for those who must choose a status or an exit code.
type Kind int

// The kinds, each with the HTTP status that fits it best.
const (
	Internal        Kind = iota // 500: our fault
	Invalid                     // 400: the request makes no sense
	Unauthenticated             // 401: who are you?
	Denied                      // 403: known, but not allowed
	NotFound                    // 404
	NotAllowed                  // 405: the resource has no such method
	Conflict                    // 409: the state does not permit it
	Precondition                // 412: an If-Match failed
	TooLarge                    // 413
	Unsupported                 // 501: real in Azure, not here yet
	Unavailable                 // 503: try again later
	Limited                     // 429: too much at once; the edge says how long to wait
	Full                        // 507: there is no space left; logged, as what is our fault
	Away                        // 503: a store does not answer for now, see NewAway; logged as well
)

var statuses = [...]int{
	Internal: http.StatusInternalServerError, Invalid: http.StatusBadRequest,
	Unauthenticated: http.StatusUnauthorized, Denied: http.StatusForbidden,
	NotFound: http.StatusNotFound, NotAllowed: http.StatusMethodNotAllowed,
	Conflict: http.StatusConflict, Precondition: http.StatusPreconditionFailed,
	TooLarge: http.StatusRequestEntityTooLarge, Unsupported: http.StatusNotImplemented,
	Unavailable: http.StatusServiceUnavailable, Limited: http.StatusTooManyRequests,
	Full: http.StatusInsufficientStorage, Away: http.StatusServiceUnavailable,
}

// Status is the HTTP status of the kind.
func (k Kind) Status() int { return statuses[k] }

// Ours reports whether an error of the kind is for the log of the server as well.
func (k Kind) Ours() bool { return k == Internal || k == Full || k == Away }

// RetryAfter is the header of that name of an answer of the kind Away, in seconds: a server
// that was stopped in the middle of its turn to write has lost it by then.
const RetryAfter = "5"

// Error is an error a user can act on. Code is the stable word a client may
// switch on (Azure's, where Azure has one). Target names the member or the
// resource at fault. Hints say what to do, best a whole command. Cause is for the
// log and errors.Is, and Look for who runs the server; they are never shown.
type Error struct {
	Kind    Kind
	Code    string
	Message string
	Target  string
	Hints   []string
	Look    string // where to look, best a command; one for each store
	Cause   error
}

// New returns a problem with a formatted message.
func New(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...)}
}

// NewAway returns the problem of a store that does not answer, is too slow, or refuses
// everybody for now: what was asked may succeed in a moment. Its cause and where to look
// for it are for the log; who asked learns no more than that.
func NewAway(look string, cause error) *Error {
	return &Error{Kind: Away, Code: "ServiceUnavailable", Look: look, Cause: cause,
		Message: "the server cannot do this at the moment; try again in a few seconds"}
}

// Error renders code and message; hints are for the edges.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// On names what the error is about and returns e.
func (e *Error) On(target string) *Error { e.Target = target; return e }

// Hint adds a hint and returns e.
func (e *Error) Hint(format string, args ...any) *Error {
	e.Hints = append(e.Hints, fmt.Sprintf(format, args...))
	return e
}

// Because sets the cause and returns e.
func (e *Error) Because(cause error) *Error { e.Cause = cause; return e }

// Text is the message followed by its hints, for edges that have one text field.
func (e *Error) Text() string {
	if len(e.Hints) == 0 {
		return e.Message
	}
	return e.Message + " " + strings.Join(e.Hints, " ")
}

// From finds the problem in err's chain. An error without one is Internal, or Full where
// a disk is, with the original as its cause, so that its text is logged and not shown.
func From(err error) *Error {
	var p *Error
	if errors.As(err, &p) {
		return p
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &Error{Kind: Full, Code: "InsufficientStorage", Message: "the server has no space left for this; what it has can still be read", Cause: err}
	}
	return &Error{Kind: Internal, Code: "InternalServerError", Message: "internal error", Cause: err}
}

// Is reports whether err is a problem of the kind.
func Is(err error, kind Kind) bool {
	var p *Error
	return errors.As(err, &p) && p.Kind == kind
}
