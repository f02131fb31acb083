package graphapi

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/acrux/acrux/internal/access/identity"
)

// object is a member of a list: its properties, by name, and what is only read for
// those that are shown.
type object struct {
	properties map[string]any
	more       func(properties map[string]any) error // may be nil
	// rank orders objects of the same name before their IDs do, in lists of several types.
	rank string
}

// place is where the object is in a list.
func (o object) place() identity.Place {
	name, _ := o.properties["displayName"].(string)
	id, _ := o.properties["id"].(string)
	return identity.Place{Name: strings.ToLower(name), ID: identity.ObjectID(o.rank + id)}
}

// listing is a set of objects that can be listed.
type listing struct {
	set   string   // its name
	known []string // the properties that a filter may speak of
	// unique finds the one object, or none, whose property is a value; known is false if
	// the property tells nothing about where it is. May be nil.
	unique func(property, value string) (found []object, known bool, err error)
	// read returns the objects that a query selects, in the order of their places.
	read func(q identity.Query) ([]object, error)
}

// Lengths of pages.
const (
	pageLength    = 100
	maxPageLength = 999
	// maxRead is how many objects are looked at for one page: a filter that few of them fit
	// has short pages, and not long ones that take their time.
	maxRead = 2000
)

// list answers with a page of those objects that the request's filter lets through. The
// link to the next page names the last object of this one, so that no object is left out
// or shown twice if others come and go meanwhile.
func (c *call) list(l listing) (answer, error) {
	query := c.URL.Query()
	fits, must, err := parseFilter(query.Get("$filter"), l.known)
	if err != nil {
		return answer{}, err
	}
	length, err := pageSize(query.Get("$top"))
	if err != nil {
		return answer{}, err
	}
	after, err := placeOf(query.Get("$skiptoken"))
	if err != nil {
		return answer{}, err
	}
	objects, next, err := l.page(must, fits, after, length)
	if err != nil {
		return answer{}, err
	}
	body := map[string]any{"@odata.context": c.base + "/$metadata#" + l.set}
	if next != nil {
		body["@odata.nextLink"] = c.next(query, *next)
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

// page reads a page after a place. next is the place after which the next one begins, nil
// if this is the last.
func (l listing) page(must []clause, fits filter, after identity.Place, length int) (page []object, next *identity.Place, err error) {
	q := identity.Query{After: after}
	for _, m := range must {
		if l.unique != nil && !m.prefix {
			if found, known, err := l.unique(m.property, m.value); known || err != nil {
				return slices.DeleteFunc(found, func(o object) bool { return !fits(o.properties) || !o.after(after) }), nil, err
			}
		}
		switch {
		case m.property == "displayName" && m.prefix:
			q.Prefix = m.value
		case m.property == "displayName" && m.value != "":
			q.Name = m.value
		}
	}
	for read := 0; read < maxRead; {
		q.N = length + 1
		some, err := l.read(q)
		if err != nil {
			return nil, nil, err
		}
		for _, o := range some {
			if !fits(o.properties) {
				continue
			}
			if len(page) == length {
				last := page[length-1].place()
				return page, &last, nil
			}
			page = append(page, o)
		}
		if len(some) < q.N {
			return page, nil, nil
		}
		read += len(some)
		q.After = some[len(some)-1].place()
	}
	return page, &q.After, nil
}

// after reports whether the object comes after a place.
func (o object) after(p identity.Place) bool {
	mine := o.place()
	return mine.Name > p.Name || mine.Name == p.Name && mine.ID > p.ID
}

// allOf is the listing of objects of several types that are all there: by name, and where
// names are the same by type and ID.
func allOf(set string, known []string, objects []object) listing {
	for i, o := range objects {
		typ, _ := o.properties["@odata.type"].(string)
		objects[i].rank = typ + " "
	}
	slices.SortFunc(objects, func(a, b object) int {
		p, q := a.place(), b.place()
		return cmp.Or(cmp.Compare(p.Name, q.Name), cmp.Compare(p.ID, q.ID))
	})
	return listing{set: set, known: known, read: func(q identity.Query) ([]object, error) {
		rest := slices.DeleteFunc(slices.Clone(objects), func(o object) bool { return !o.after(q.After) })
		return rest[:min(len(rest), q.N)], nil
	}}
}

// Places in links: the name and the ID.
const placeSeparator = "\x00"

func placeOf(token string) (identity.Place, error) {
	if token == "" {
		return identity.Place{}, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	name, id, ok := strings.Cut(string(text), placeSeparator)
	if err != nil || !ok || strings.Contains(id, placeSeparator) {
		return identity.Place{}, badRequest("The $skiptoken is not one of this server: go on with the @odata.nextLink of the last page, or begin again.").Because(err)
	}
	return identity.Place{Name: name, ID: identity.ObjectID(id)}, nil
}

func (c *call) next(query url.Values, last identity.Place) string {
	query.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte(last.Name+placeSeparator+string(last.ID))))
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
