package resource

import (
	"context"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/secret"
)

// Secrets keeps the secrets of resources, sealed. They go with their resource.
type Secrets interface {
	// PutSecret keeps a secret under the resource and name.
	PutSecret(ctx context.Context, id arm.ID, name string, value secret.String) error
	// Secrets returns all secrets of the resource by name.
	Secrets(ctx context.Context, id arm.ID) (map[string]secret.String, error)
	// DeleteSecret forgets one; it is no error if there is none.
	DeleteSecret(ctx context.Context, id arm.ID, name string) error
}
