package loginapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/arm/problem"
)

// refusal is an error as RFC 6749, section 5.2, has it, with Azure's number.
type refusal struct {
	status  int
	code    string
	number  int
	message string
}

func (e refusal) Error() string { return e.message }

func badRequest(number int, message string) refusal {
	return refusal{http.StatusBadRequest, "invalid_request", number, message}
}

func badGrant(number int, message string) refusal {
	return refusal{http.StatusBadRequest, "invalid_grant", number, message}
}

func badTenant(name string) refusal {
	return badRequest(900023, "Specified tenant identifier '"+name+"' is neither a valid DNS name, nor a valid external domain.")
}

// fail renders an error. What is no refusal is ours: it is logged, and not shown.
func (s *Server) fail(w http.ResponseWriter, err error) {
	id := w.Header().Get("x-ms-request-id")
	var e refusal
	if !errors.As(err, &e) {
		s.Log.Error("signing in failed", "id", id, "err", err)
		e = fault(err)
	}
	now := time.Now().UTC().Format("2006-01-02 15:04:05Z")
	text := "AADSTS" + strconv.Itoa(e.number) + ": " + e.message + " Trace ID: " + id + " Timestamp: " + now
	write(w, e.status, map[string]any{"error": e.code, "error_description": text, "error_codes": []int{e.number},
		"timestamp": now, "trace_id": id, "correlation_id": uuid.NewString()})
}

// fault is an error of ours as clients see it. One that may be over in a moment has no
// Retry-After: clients would keep it on disk for that long, and longer.
func fault(err error) refusal {
	if p := problem.From(err); p.Kind == problem.Away {
		return refusal{p.Kind.Status(), "temporarily_unavailable", 90033, p.Message + "."}
	}
	return refusal{http.StatusInternalServerError, "server_error", 90033,
		"Something went wrong on the server; its log has more under the trace ID."}
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone if this fails
}
