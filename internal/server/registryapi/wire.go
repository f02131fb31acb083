package registryapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
)

func (c *call) json(status int, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	head := c.w.Header()
	if head.Get("Content-Type") == "" {
		head.Set("Content-Type", "application/json; charset=utf-8")
	}
	head.Set("Content-Length", strconv.Itoa(len(text)))
	c.w.WriteHeader(status)
	_, _ = c.w.Write(text) // the client is gone if this fails
	return nil
}

// ociError is an error as the OCI Distribution specification has it. The detail of a
// refusal says what would help.
type ociError struct {
	Code    string     `json:"code"`
	Message string     `json:"message"`
	Detail  *ociDetail `json:"detail,omitempty"`
}

type ociDetail struct {
	Name  string   `json:"name,omitempty"`
	Hints []string `json:"hints,omitempty"`
}

// fail renders an error. What is not a problem is ours: logged, and shown by its id.
func (c *call) fail(err error) {
	p := problem.From(err)
	if p.Kind.Ours() {
		if c.Context().Err() != nil {
			return // the client is gone
		}
		id := c.w.Header().Get("x-ms-request-id")
		c.server.Log.Error("request failed", "id", id, "host", c.host, "method", c.Method, "path", c.URL.Path, "err", err)
		p = c.ours(p, id)
	}
	status, p := c.status(p)
	out := ociError{Code: p.Code, Message: p.Message}
	if p.Target != "" || len(p.Hints) > 0 {
		out.Detail = &ociDetail{Name: p.Target, Hints: p.Hints}
	}
	if p.Kind == problem.Unauthenticated && c.w.Header().Get("WWW-Authenticate") == "" && c.name != "" {
		c.demand("")
	}
	passing := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
	if passing && c.w.Header().Get("Retry-After") == "" {
		c.w.Header().Set("Retry-After", problem.RetryAfter)
	}
	_ = c.json(status, map[string][]ociError{"errors": {out}}) // always encodes
}

// ours is a fault of the server's as clients see it: a code of theirs, and no reason.
func (c *call) ours(p *problem.Error, id string) *problem.Error {
	for _, name := range []string{"Content-Length", "Content-Range", "Content-Type", "Cache-Control", "ETag",
		"Docker-Content-Digest"} {
		c.w.Header().Del(name) // of what was to be sent instead, and may be kept for a year
	}
	switch p.Kind {
	case problem.Full:
		return &problem.Error{Kind: p.Kind, Code: "INSUFFICIENT_STORAGE", Message: p.Message}
	case problem.Away: // which docker and containerd take for a reason to try again
		return &problem.Error{Kind: p.Kind, Code: "UNAVAILABLE", Message: p.Message}
	}
	return problem.New(problem.Internal, "UNKNOWN",
		"something went wrong on the server; its log has more under request %s", id)
}

// Bounds of a page. The list of tags that OCI specifies is whole where maxPage allows it:
// many clients of it ask for no more.
const (
	defaultPage = 100
	maxPage     = 10_000
)

// page reads n and last of a listing. Without n it has fallback entries at most.
func (c *call) page(fallback int) (registry.Page, error) {
	q := c.URL.Query()
	p := registry.Page{Last: q.Get("last"), N: fallback}
	if text := q.Get("after"); text != "" {
		after, err := strconv.ParseInt(text, 10, 64)
		if err != nil || after <= 0 {
			return p, problem.New(problem.Invalid, "INVALID_PARAMETER", "after=%q is none of our links", text).On("after")
		}
		p.After = time.UnixMicro(after).UTC()
	}
	text := q.Get("n")
	if text == "" {
		return p, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return p, problem.New(problem.Invalid, "PAGINATION_NUMBER_INVALID", "invalid number of results requested: n=%q", text).On("n")
	}
	p.N = min(n, maxPage)
	return p, nil
}

// next links to the page after last, whose time is given where the listing is by time:
// it may be deleted by then.
func (c *call) next(n int, last string, after time.Time) {
	q := c.URL.Query()
	q.Set("n", strconv.Itoa(n))
	q.Set("last", last)
	if !after.IsZero() {
		q.Set("after", strconv.FormatInt(after.UnixMicro(), 10))
	}
	u := url.URL{Path: c.URL.Path, RawQuery: q.Encode()}
	c.w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next"`, u.String()))
}

// ask is the page with one entry more, which tells whether there is a next one.
func ask(p registry.Page) registry.Page {
	p.N++
	return p
}

// cut takes away the entry too many: if it is there, there is a next page. place tells
// name and, for a listing by time, time of an entry.
func cut[T any](c *call, all []T, p registry.Page, place func(T) (string, time.Time)) []T {
	switch {
	case p.N == 0: // asks for nothing at all
		return nil
	case len(all) > p.N:
		all = all[:p.N]
		last, after := place(all[p.N-1])
		c.next(p.N, last, after)
	}
	return all
}
