package graphapi

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// object is a member of a list: its properties, by name, and what is only read for
// those that are shown.
type object struct {
	properties map[string]any
	more       func(properties map[string]any) error // may be nil
}

// key orders lists: by name, and by type and ID where names are the same.
func (o object) key() string {
	name, _ := o.properties["displayName"].(string)
	typ, _ := o.properties["@odata.type"].(string)
	id, _ := o.properties["id"].(string)
	return strings.ToLower(name) + "\x00" + typ + "\x00" + id
}

// Lengths of pages.
const (
	pageLength    = 100
	maxPageLength = 999
)

// list answers with a page of those objects that the request's filter lets through. The
// link to the next page names the last object of this one, so that no object is left out
// or shown twice if others come and go meanwhile.
func (c *call) list(set string, known []string, objects []object) (answer, error) {
	query := c.URL.Query()
	fits, err := parseFilter(query.Get("$filter"), known)
	if err != nil {
		return answer{}, err
	}
	length, err := pageSize(query.Get("$top"))
	if err != nil {
		return answer{}, err
	}
	after, err := base64.RawURLEncoding.DecodeString(query.Get("$skiptoken"))
	if err != nil {
		return answer{}, badRequest("The $skiptoken is not one of this server.").Because(err)
	}
	objects = slices.DeleteFunc(objects, func(o object) bool { return o.key() <= string(after) || !fits(o.properties) })
	slices.SortFunc(objects, func(a, b object) int { return cmp.Compare(a.key(), b.key()) })
	body := map[string]any{"@odata.context": c.base + "/$metadata#" + set}
	if len(objects) > length {
		objects = objects[:length]
		body["@odata.nextLink"] = c.next(query, objects[length-1].key())
	}
	values := make([]any, len(objects))
	for i, o := range objects {
		if o.more != nil {
			if err := o.more(o.properties); err != nil {
				return answer{}, err
			}
		}
		values[i] = o.properties
	}
	body["value"] = values
	return ok(body), nil
}

func (c *call) next(query url.Values, last string) string {
	query.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte(last)))
	return c.server.URL + c.URL.EscapedPath() + "?" + query.Encode()
}

func pageSize(top string) (int, error) {
	if top == "" {
		return pageLength, nil
	}
	n, err := strconv.Atoi(top)
	if err != nil || n < 1 || n > maxPageLength {
		return 0, badRequest("The value '%s' of $top is not a number from 1 to %d.", top, maxPageLength)
	}
	return n, nil
}
