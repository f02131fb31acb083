package cli

import (
	"context"

	"github.com/acrux/acrux/internal/arm"
)

// federatedTypes is the type of federated credentials below an identity.
const federatedTypes = "federatedIdentityCredentials"

// federatedID is the ID of a federated credential of an identity.
func (c *call) federatedID() arm.ID {
	return c.groupID(c.text("resource-group")).In(identityKind, c.text("identity-name")).Child(federatedTypes, c.text("name"))
}

func putFederated(ctx context.Context, c *call) (any, error) {
	audiences := c.list("audiences")
	if len(audiences) == 0 {
		audiences = []string{"api://AzureADTokenExchange"}
	}
	var out document
	_, err := c.client.Do(ctx, "PUT", c.federatedID().String(), identitiesVersion,
		document{"properties": document{"issuer": c.text("issuer"), "subject": c.text("subject"), "audiences": audiences}}, &out)
	return flatten(out), err
}

func showFederated(ctx context.Context, c *call) (any, error) {
	var out document
	_, err := c.client.Do(ctx, "GET", c.federatedID().String(), identitiesVersion, nil, &out)
	return flatten(out), err
}

func listFederated(ctx context.Context, c *call) (any, error) {
	all, err := c.listAll(ctx, c.federatedID().Parent().String()+"/"+federatedTypes, identitiesVersion)
	return flattenAll(all), err
}

func deleteFederated(ctx context.Context, c *call) (any, error) {
	if err := c.confirm("This deletes the federated credential '" + c.text("name") + "'."); err != nil {
		return nil, err
	}
	_, err := c.client.Do(ctx, "DELETE", c.federatedID().String(), identitiesVersion, nil, nil)
	return nil, err
}
