package resource

import (
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/arm"
)

// Query selects documents below a scope.
type Query struct {
	Scope arm.ID   // is not among them itself
	Kind  arm.Kind // zero: all kinds
	Terms []Term   // that each of them has; with a kind only. The first should be the rarest
	Page
}

// Page bounds a list that is read in parts. Parts go on after the key of an entry, not
// after a number of them: what comes and goes between two parts moves nothing else.
type Page struct {
	Only  []arm.ID // only what is at or below one of these, none of which lies below another; nil: all
	After string   // key of an ID, after which the part begins
	N     int      // how many there are at most; 0: all
}

// Has reports whether the page may have an ID, by where it lies.
func (p Page) Has(id arm.ID) bool {
	return p.Only == nil || slices.ContainsFunc(p.Only, func(o arm.ID) bool { return o.Contains(id) })
}

// Below is the query for everything of a kind below a scope.
func Below(scope arm.ID, kind arm.Kind) Query { return Query{Scope: scope, Kind: kind} }

// Term is something by which documents of a kind are found besides their place.
type Term string

// NameTerm is that of a resource with the name, in whatever case. Only resources directly
// in a resource group have one.
func NameTerm(name string) Term { return fold("name=" + strings.ToLower(name)) }

// LocationTerm is that of a resource at the location. Only resources directly in a resource
// group have one.
func LocationTerm(location string) Term { return fold("location=" + strings.ToLower(location)) }

// TagTerm is that of a resource with a tag of the name.
func TagTerm(name string) Term { return fold("tag=" + strings.ToLower(name)) }

// TagValueTerm is that of a resource with the tag. No name of a tag has a slash.
func TagValueTerm(name, value string) Term {
	return fold("tag=" + strings.ToLower(name) + "/" + value)
}

// Tag is the tag of a TagValueTerm, its name in lower case; ok is false for other terms.
func (t Term) Tag() (name, value string, ok bool) {
	if rest, tag := strings.CutPrefix(string(t), "tag="); tag {
		name, value, ok = strings.Cut(rest, "/")
	}
	return name, value, ok
}

// IdentityTerm is that of a resource to which the user-assigned identity is assigned.
func IdentityTerm(id string) Term { return fold("identity=" + strings.ToLower(id)) }

// fold makes a text one that every database keeps: PostgreSQL has no zero bytes.
func fold(text string) Term {
	return Term(strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD"))
}

// Terms are those of the document.
func (d Document) Terms() []Term {
	var all []Term
	if len(d.ID.Names) == 1 {
		all = append(all, NameTerm(d.ID.Name()), LocationTerm(d.Location))
	}
	for name, value := range d.Tags {
		all = append(all, TagTerm(name), TagValueTerm(name, value))
	}
	for _, id := range d.Identity.UserIDs() {
		all = append(all, IdentityTerm(id))
	}
	return all
}
