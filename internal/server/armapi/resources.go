package armapi

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
)

// resources lists the resources of all types, or those of them the filter names, that
// the caller may read: one type after the other, each from its index.
func (s *Server) resources(scope arm.ID) serveFunc {
	return func(ctx context.Context, c *Call) (answer, error) {
		only, err := parseFilter(c.Query("$filter"), "resourceType", "resourceGroup", "name", "location", "tagName", "tagValue")
		if err != nil {
			return answer{}, err
		}
		p, err := c.paging()
		if err != nil {
			return answer{}, err
		}
		q, kinds, err := s.queryOf(only, scope)
		if err != nil {
			return answer{}, err
		}
		docs, err := s.walk(ctx, c, kinds, q, p)
		if err != nil {
			return answer{}, err
		}
		return c.showDocuments(p, docs)
	}
}

func (c *Call) showDocuments(p paging, docs []resource.Document) (answer, error) {
	found := cut(docs, p.length, func(doc resource.Document) string { return doc.Kind.Key() + placeSeparator + doc.ID.Key() })
	for i, doc := range docs[:len(found.values)] {
		value := map[string]any{"id": doc.ID.String(), "name": doc.ID.Name(), "type": doc.Kind.String(),
			"location": doc.Location, "tags": doc.Tags, "sku": doc.SKU, "identity": doc.Identity}
		if err := expand(value, doc, c.Query("$expand")); err != nil {
			return answer{}, err
		}
		found.values[i] = value
	}
	return c.page(p, found), nil
}

// placeSeparator stands between the two members of a place. Neither can have it.
const placeSeparator = "\n"

// queryOf is what a filter asks for, and of which types, in the order of their names.
func (s *Server) queryOf(only filter, scope arm.ID) (q resource.Query, kinds []*kind, err error) {
	q.Scope = scope
	if q.Terms, err = only.terms(); err != nil {
		return q, nil, err
	}
	if group, given := only["resourcegroup"]; given {
		if q.Scope = arm.GroupID(scope.Subscription, group); !scope.Contains(q.Scope) {
			return q, nil, nil
		}
	}
	typ, given := only["resourcetype"]
	for _, k := range s.ordered {
		if len(k.Types) == 1 && k != s.kinds[groupKind.Key()] && (!given || strings.EqualFold(typ, k.String())) {
			kinds = append(kinds, k)
		}
	}
	slices.SortFunc(kinds, func(a, b *kind) int { return cmp.Compare(a.Key(), b.Key()) })
	return q, kinds, nil
}

// walk reads the documents of a page and, if there are more, one of the next.
func (s *Server) walk(ctx context.Context, c *Call, kinds []*kind, q resource.Query, p paging) ([]resource.Document, error) {
	from, after, ok := strings.Cut(p.after, placeSeparator)
	if !ok && p.after != "" {
		return nil, badSkipToken(c.skipToken())
	}
	var all []resource.Document
	for _, k := range kinds {
		if k.Key() < from {
			continue
		}
		where, err := s.Checker.Where(ctx, c.Caller.ObjectID, k.prefix+"/read", q.Scope)
		if err != nil {
			return nil, err
		}
		if len(where) == 0 {
			continue
		}
		q.Kind, q.Page = k.Kind, resource.Page{Only: where, N: p.length + 1 - len(all)}
		if k.Key() == from {
			q.After = after
		}
		docs, err := s.Documents.List(ctx, q)
		if err != nil {
			return nil, err
		}
		if all = append(all, docs...); len(all) > p.length {
			break
		}
	}
	return all, nil
}

// expand adds the members that a listing has on request.
func expand(value map[string]any, doc resource.Document, members string) error {
	for member := range strings.SplitSeq(members, ",") {
		switch strings.ToLower(strings.TrimSpace(member)) {
		case "createdtime":
			value["createdTime"] = arm.Time(doc.Created)
		case "changedtime":
			value["changedTime"] = arm.Time(doc.Updated)
		case "provisioningstate":
			state := struct{ ProvisioningState string }{"Succeeded"} // of those that never were in another
			if err := json.Unmarshal(doc.Properties, &state); err != nil {
				return fmt.Errorf("the document of %s: %w", doc.ID, err)
			}
			value["provisioningState"] = state.ProvisioningState
		}
	}
	return nil
}
