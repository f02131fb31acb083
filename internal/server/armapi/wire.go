package armapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
)

// maxBody is the largest request body in bytes, as Resource Manager has it.
const maxBody = 4 << 20

func (c *Call) readBody(w http.ResponseWriter) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, c.Request.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return problem.New(problem.TooLarge, "RequestContentTooLarge", "The request content has more than %d bytes.", maxBody).Because(err)
	}
	if err != nil {
		return problem.New(problem.Invalid, "InvalidRequestContent", "The request content could not be read.").Because(err)
	}
	c.body = body
	return nil
}

// Decode reads the request's JSON into v. A member that v does not have and that says
// something is refused by its name; a missing body is an error.
func (c *Call) Decode(v any) error {
	if err := c.parse(v); err != nil {
		return err
	}
	return checkMembers(c.body, v)
}

// parse is Decode for who looks at the members himself.
func (c *Call) parse(v any) error {
	if len(c.body) == 0 {
		return problem.New(problem.Invalid, "InvalidRequestContent", "The request content is missing: JSON is expected.")
	}
	if err := json.Unmarshal(c.body, v); err != nil {
		return badContent(err)
	}
	return nil
}

func badContent(err error) error {
	var p *problem.Error
	if errors.As(err, &p) {
		return p
	}
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) {
		return problem.New(problem.Invalid, "InvalidRequestContent", "The request content was invalid: '%s' cannot be %s.", typ.Field, article(typ.Value)).On(typ.Field).Because(err)
	}
	return problem.New(problem.Invalid, "InvalidRequestContent", "The request content was invalid and could not be deserialized: '%v'.", err).Because(err)
}

func article(noun string) string {
	if noun != "" && strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// deleteFold deletes the entry whose key is the same but for case.
func deleteFold[V any](m map[string]V, key string) {
	for k := range m {
		if strings.EqualFold(k, key) {
			delete(m, k)
		}
	}
}

// errorBody is Resource Manager's form of an error.
type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code    string        `json:"code"`
	Message string        `json:"message"`
	Target  string        `json:"target,omitempty"`
	Details []errorDetail `json:"details,omitempty"`
}

// fail renders an error. What is not a problem is ours: it is logged and shown as
// an internal error with the request's id.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.From(err)
	id := w.Header().Get("x-ms-request-id")
	message := p.Message
	if p.Kind.Ours() {
		if r.Context().Err() != nil {
			return // the client is gone
		}
		s.Log.Error("request failed", "id", id, "method", r.Method, "path", r.URL.Path, "err", err)
	}
	if p.Kind == problem.Internal {
		message = fmt.Sprintf("Something went wrong on the server; its log has more under request %s.", id)
	}
	if p.Kind == problem.Away {
		w.Header().Set("Retry-After", problem.RetryAfter)
	}
	if p.Kind == problem.Unauthenticated {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer authorization_uri="%s/%s", error="invalid_token", error_description="%s"`,
			s.Endpoints.Login, s.Issuer.TenantID, strings.ReplaceAll(message, `"`, `'`)))
	}
	detail := errorDetail{Code: p.Code, Message: message, Target: p.Target}
	for _, hint := range p.Hints {
		detail.Details = append(detail.Details, errorDetail{Code: "Hint", Message: hint})
	}
	render(w, answer{status: p.Kind.Status(), body: errorBody{Error: detail}})
}

// render writes an answer.
func render(w http.ResponseWriter, a answer) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.Header().Set("Cache-Control", "no-cache")
	if a.body == nil {
		w.Header().Set("Content-Length", "0")
		if a.status == http.StatusNoContent {
			w.Header().Del("Content-Length")
		}
		w.WriteHeader(a.status)
		return
	}
	text, err := json.Marshal(a.body)
	if err != nil {
		http.Error(w, `{"error":{"code":"InternalServerError","message":"the answer could not be encoded"}}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(a.status)
	_, _ = w.Write(text) // the client is gone if this fails
}
