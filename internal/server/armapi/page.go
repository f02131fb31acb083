package armapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
)

// Lengths of pages, in entries.
const (
	pageLength    = 250  // where the request does not say how many it wants
	maxPageLength = 1000 // of one that wants so many or more
)

// paging is the part of a list that a request asks for.
type paging struct {
	after  string // the place where it begins, of the last entry before; empty: at the beginning
	length int    // how many entries it has at most
	wanted int    // how many the client wants in all, this part included; 0: as many as there are
}

// part is a part of a list. next is the place of its last entry, empty if it is the last.
type part struct {
	values []any
	next   string
}

// cut makes a part of the entries, of which there is one too many if more follow.
func cut[T any](all []T, length int, place func(T) string) part {
	p := part{}
	if len(all) > length {
		all = all[:length]
		p.next = place(all[length-1])
	}
	for _, entry := range all {
		p.values = append(p.values, entry)
	}
	return p
}

// paging reads $top and $skipToken.
func (c *Call) paging() (paging, error) {
	p := paging{length: pageLength}
	if top := c.Query("$top"); top != "" {
		n, err := strconv.Atoi(top)
		if err != nil || n < 1 {
			return p, problem.New(problem.Invalid, "InvalidParameterValue", "The value '%.100s' of $top is not a positive number.", top).On("$top")
		}
		p.wanted, p.length = n, min(n, maxPageLength)
	}
	token := c.skipToken()
	if token == "" {
		return p, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	mark := c.listMark()
	if err != nil || len(text) <= len(mark) || !bytes.HasPrefix(text, mark) {
		return p, badSkipToken(token)
	}
	p.after = string(text[len(mark):])
	return p, nil
}

func badSkipToken(token string) *problem.Error {
	return problem.New(problem.Invalid, "InvalidSkipToken",
		"The $skipToken '%.100s' is none of this list with this $filter: go on with the nextLink of its last page, or begin again.", token).On("$skipToken")
}

// skipTokenNames are the spellings that Resource Manager's services have.
var skipTokenNames = []string{"$skipToken", "$skiptoken"}

func (c *Call) skipToken() string {
	for _, name := range skipTokenNames {
		if token := c.Query(name); token != "" {
			return token
		}
	}
	return ""
}

// listMark tells one list from another. A token says where to go on in the list that it was
// made for; in another it would mean some other place.
func (c *Call) listMark() []byte {
	segments := strings.FieldsFunc(strings.ToLower(c.Request.URL.Path), func(r rune) bool { return r == '/' })
	sum := sha256.Sum256([]byte(strings.Join(segments, "/") + "?" + c.Query("$filter")))
	return sum[:8]
}

// nextLink is the URL of the part after a place, empty if the client wants no more. A token
// has nothing but the place of the last entry, which its client has seen; what he may see
// of the next part is asked for again.
func (c *Call) nextLink(p paging, next string) string {
	query := c.Request.URL.Query()
	if p.wanted > 0 {
		left := p.wanted - p.length
		if left <= 0 {
			return ""
		}
		query.Set("$top", strconv.Itoa(left))
	}
	for _, name := range skipTokenNames {
		query.Del(name)
	}
	query.Set(skipTokenNames[0], base64.RawURLEncoding.EncodeToString(append(c.listMark(), next...)))
	return c.server.Endpoints.Management + c.Request.URL.EscapedPath() + "?" + spaced(query)
}

// spaced encodes a query with %20 for blanks, as Resource Manager's clients do: a "+" is
// not one for all of them.
func spaced(query url.Values) string { return strings.ReplaceAll(query.Encode(), "+", "%20") }

// page answers with a part of a list.
func (c *Call) page(p paging, found part) answer {
	body := arm.Page[any]{Value: found.values}
	if body.Value == nil {
		body.Value = []any{}
	}
	if found.next != "" {
		body.NextLink = c.nextLink(p, found.next)
	}
	return answer{status: http.StatusOK, body: body}
}
