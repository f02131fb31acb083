package registry

import (
	"context"

	"github.com/acrux/acrux/internal/arm"
)

// Usage is how much of something a registry has. Limit is what Azure includes in the
// tier; it is shown, and not enforced.
type Usage struct {
	Name    string `json:"name"`
	Limit   int64  `json:"limit"`
	Current int64  `json:"currentValue"`
	Unit    string `json:"unit"` // Bytes, Count
}

// limits are what Azure includes in a tier.
type limits struct{ size, webhooks, tokens int64 }

const gib = 1 << 30

var limitsOf = map[string]limits{
	"Basic":    {10 * gib, 2, 100},
	"Standard": {100 * gib, 10, 500},
	"Premium":  {500 * gib, 500, 50_000},
}

// Usages returns what a registry has, as it is now.
func (r *Registries) Usages(ctx context.Context, id arm.ID, content *Content) ([]Usage, error) {
	reg, err := r.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	size, err := content.Store.Size(ctx, ContentName(reg.ID))
	if err != nil {
		return nil, err
	}
	limit := limitsOf[reg.SKU.Name]
	all := []Usage{{"Size", limit.size, size, "Bytes"}}
	for _, of := range []struct {
		name, typ string
		limit     int64
	}{{"Webhooks", "webhooks", limit.webhooks}, {"ScopeMaps", "scopeMaps", limit.tokens}, {"Tokens", "tokens", limit.tokens}} {
		n, err := r.Store.Count(ctx, reg.ID, arm.NewKind(Kind.String()+"/"+of.typ))
		if err != nil {
			return nil, err
		}
		all = append(all, Usage{of.name, of.limit, n, "Count"})
	}
	return all, nil
}
