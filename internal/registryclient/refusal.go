package registryclient

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// Refusal is an answer by which a registry, or its token service, does not grant what was asked;
// asking again changes nothing.
type Refusal struct {
	Host    string // who refused
	Status  int    // of HTTP; 0 if the answer was of no use
	Phrase  string // "401 Unauthorized", or what was wrong
	Reasons []Reason
}

// Reason is one of the errors in the body of a refusal.
type Reason struct {
	Code    string // "DENIED"
	Message string
	Detail  []string // lines that are meant for people
	Hints   []string // what helps, as Acrux's registries say it
}

// Words is the code as docker prints it: "manifest unknown".
func (r Reason) Words() string { return strings.ToLower(strings.ReplaceAll(r.Code, "_", " ")) }

// Error implements error.
func (r *Refusal) Error() string { return r.Phrase }

// NewRefusal reads the refusal that an answer of a host is.
func NewRefusal(host string, a Answer) *Refusal {
	return &Refusal{Host: host, Status: a.Status, Phrase: a.Phrase, Reasons: Reasons(a.Body)}
}

// Reasons reads the two forms of bodies: a registry's errors (OCI Distribution, "Error Codes"),
// and a token service's error and error_description (RFC 6749, section 5.2). Of others there is
// nothing.
func Reasons(body []byte) []Reason {
	var doc struct {
		Errors []struct {
			Code, Message string
			Detail        json.RawMessage
		}
		Error       string
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &doc) != nil {
		return nil
	}
	if len(doc.Errors) == 0 && doc.Error != "" {
		return []Reason{{Code: doc.Error, Message: doc.Description}}
	}
	var all []Reason
	for _, e := range doc.Errors {
		r := Reason{Code: e.Code, Message: e.Message}
		r.Detail, r.Hints = readDetail(e.Detail)
		all = append(all, r)
	}
	return all
}

// readDetail reads the parts of a detail that are meant for people: a text, or the members
// message and hints of an object. Registries put anything there.
func readDetail(detail json.RawMessage) (text, hints []string) {
	var object struct{ Message, Hints json.RawMessage }
	if text = readLines(detail); text != nil || json.Unmarshal(detail, &object) != nil {
		return text, nil
	}
	return readLines(object.Message), readLines(object.Hints)
}

// readLines reads a text or a list of them.
func readLines(raw json.RawMessage) []string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return line == "" })
	}
	var list []string
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	return list
}

// Denied reports whether it is about who asks: another credential may help.
func (r *Refusal) Denied() bool {
	return r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden
}

// Lines are code and message of each reason with its detail, and what helps: for a log.
func (r *Refusal) Lines() []string {
	var lines []string
	for _, reason := range r.Reasons {
		lines = append(lines, strings.ToLower(reason.Code)+": "+reason.Message)
		for _, line := range reason.Detail {
			if line != reason.Message {
				lines = append(lines, line)
			}
		}
		for _, hint := range reason.Hints {
			lines = append(lines, "hint: "+hint)
		}
	}
	return lines
}
