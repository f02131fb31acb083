package graphapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/acrux/acrux/internal/arm/problem"
)

// maxBody bounds the body of a request, in bytes.
const maxBody = 256 << 10

// read decodes the body into v, which has the members that are known. Others are refused
// if they say something: what is asked for is done or refused, never ignored.
func (c *call) read(v any, known ...string) error {
	text, err := io.ReadAll(c.Body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return problem.New(problem.TooLarge, "Request_EntityTooLarge", "The request has more than %d bytes.", maxBody).Because(err)
	}
	if err != nil {
		return badRequest("The request could not be read.").Because(err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return badRequest("The request needs a JSON object.").Because(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		var typ *json.UnmarshalTypeError
		if errors.As(err, &typ) {
			return badRequest("The value of '%s' cannot be of JSON type %s.", typ.Field, typ.Value).Because(err)
		}
		return badRequest("The request cannot be understood: %v.", err).Because(err)
	}
	for name, value := range members {
		if !strings.HasPrefix(name, "@odata.") && !slices.Contains(known, name) && !slices.Contains(nothing, string(value)) {
			return problem.New(problem.Unsupported, "NotImplemented", "The property '%s' is not available in this version of Acrux.", name).On(name)
		}
	}
	return nil
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
