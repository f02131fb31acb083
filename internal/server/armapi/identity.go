package armapi

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
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
	docs, err := h.server.Documents.List(ctx, arm.SubscriptionID(c.ID.Subscription), arm.Kind{})
	if err != nil {
		return nil, err
	}
	values := []any{}
	for _, doc := range docs {
		has := slices.ContainsFunc(doc.Identity.UserIDs(), func(id string) bool { return strings.EqualFold(id, c.ID.String()) })
		if !has || c.Allow(ctx, doc.Kind.String()+"/read", doc.ID) != nil {
			continue
		}
		values = append(values, map[string]any{"id": doc.ID.String(), "name": doc.ID.Name(), "type": strings.ToLower(doc.Kind.String()), "resourceGroup": doc.ID.Group,
			"subscriptionId": doc.ID.Subscription, "subscriptionDisplayName": subscriptionName})
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
