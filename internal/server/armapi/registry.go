package armapi

import "context"

// credentials shows the passwords of the admin user.
func (h handlers) credentials(ctx context.Context, c *Call) (any, error) {
	return h.Registries.Credentials(ctx, c.ID)
}

func (h handlers) regenerateCredential(ctx context.Context, c *Call) (any, error) {
	var body struct {
		Name string `json:"name"`
	}
	if err := c.Decode(&body); err != nil {
		return nil, err
	}
	return h.Registries.RegenerateCredential(ctx, c.ID, body.Name)
}
