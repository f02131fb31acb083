package armapi

import (
	"context"
	"strconv"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
)

// associated lists the resources that a user-assigned identity is assigned to, of those
// that the caller may read.
func (h handlers) associated(ctx context.Context, c *Call) (any, error) {
	if _, err := h.Identities.Get(ctx, c.ID); err != nil {
		return nil, err
	}
	if c.Query("$filter") != "" {
		return nil, problem.New(problem.Unsupported, "NotImplemented", "$filter of associated resources is not available in this version of Acrux.").On("$filter")
	}
	values := []any{}
	for _, k := range h.server.ordered {
		q := resource.Below(arm.SubscriptionID(c.ID.Subscription), k.Kind)
		q.Terms = []resource.Term{resource.IdentityTerm(c.ID.String())}
		docs, err := h.server.Documents.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, doc := range docs {
			if c.Allow(ctx, doc.Kind.String()+"/read", doc.ID) == nil {
				values = append(values, associatedBody(doc))
			}
		}
	}
	total := len(values)
	skip, err := number(c, "$skip")
	if err != nil {
		return nil, err
	}
	values = values[min(skip, total):]
	top, err := number(c, "$top")
	if err != nil {
		return nil, err
	}
	if top > 0 {
		values = values[:min(top, len(values))]
	}
	return map[string]any{"totalCount": total, "value": values}, nil
}

func associatedBody(doc resource.Document) map[string]any {
	return map[string]any{"id": doc.ID.String(), "name": doc.ID.Name(), "type": strings.ToLower(doc.Kind.String()), "resourceGroup": doc.ID.Group,
		"subscriptionId": doc.ID.Subscription, "subscriptionDisplayName": subscriptionName}
}

// number reads a parameter that is a number or is left out.
func number(c *Call, name string) (int, error) {
	text := c.Query(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, problem.New(problem.Invalid, "InvalidParameterValue", "The value '%s' of %s is not a number.", text, name).On(name)
	}
	return n, nil
}
