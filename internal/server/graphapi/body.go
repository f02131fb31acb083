package graphapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/acrux/acrux/internal/arm/problem"
)

// maxBody bounds the body of a request, in bytes.
const maxBody = 256 << 10

// read decodes the body into v, which has the members that are known. Others are refused
// if they say something: what is asked for is done or refused, never ignored. Members that
// are as they were shown are left out: clients send whole objects back.
func (c *call) read(v any, shown map[string]any, known ...string) error {
	members, err := c.members()
	if err != nil {
		return err
	}
	for name, value := range members {
		if unchanged(value, shown[name]) {
			delete(members, name)
			continue
		}
		if !strings.HasPrefix(name, "@odata.") && !slices.Contains(known, name) && !slices.Contains(nothing, string(value)) {
			return problem.New(problem.Unsupported, "NotImplemented", "The property '%s' is not available in this version of Acrux.", name).On(name)
		}
	}
	text, err := json.Marshal(members)
	if err != nil {
		return err
	}
	err = json.Unmarshal(text, v)
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &typ):
		return badRequest("The value of '%s' cannot be of JSON type %s.", typ.Field, typ.Value).Because(err)
	case err != nil:
		return badRequest("The request cannot be understood: %v.", err).Because(err)
	}
	return nil
}

// members reads the body, which is a JSON object.
func (c *call) members() (members map[string]json.RawMessage, err error) {
	text, err := io.ReadAll(c.Body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, problem.New(problem.TooLarge, "Request_EntityTooLarge", "The request has more than %d bytes.", maxBody).Because(err)
	}
	if err != nil {
		return nil, badRequest("The request could not be read.").Because(err)
	}
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return nil, badRequest("The request needs a JSON object.").Because(err)
	}
	return members, nil
}

// unchanged reports whether a member has the value that was shown.
func unchanged(value json.RawMessage, shown any) bool {
	if shown == nil {
		return false
	}
	text, err := json.Marshal(shown)
	if err != nil {
		return false
	}
	var a, b any
	return json.Unmarshal(value, &a) == nil && json.Unmarshal(text, &b) == nil && reflect.DeepEqual(a, b)
}

// nothing are the JSON values that say nothing.
var nothing = []string{"null", "[]", "{}", `""`, "false"}

func badRequest(format string, args ...any) *problem.Error {
	return problem.New(problem.Invalid, "Request_BadRequest", format, args...)
}

func missing(id string) error {
	return problem.New(problem.NotFound, "Request_ResourceNotFound", "Resource '%s' does not exist or one of its queried reference-property objects are not present.", id)
}

// maxName is the longest display name, in bytes.
const maxName = 256

func checkName(name string) error {
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
		return badRequest("Invalid value specified for property 'displayName': it must have 1 to %d bytes without control characters.", maxName).On("displayName")
	}
	return nil
}

// stamp is a time as the directory writes it; the zero time is null.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}
