package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
)

// FederatedCredential is the kind of federated credentials of user-assigned identities.
var FederatedCredential = arm.NewKind("Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials")

// FederatedProperties are those of a federated credential.
type FederatedProperties struct {
	Issuer    string          `json:"issuer"`
	Subject   string          `json:"subject"`
	Audiences []string        `json:"audiences"`
	Matching  json.RawMessage `json:"claimsMatchingExpression,omitempty"` // in place of a subject; refused
}

// Federated serves the federated credentials of user-assigned identities, and knows whom
// principals trust.
type Federated struct {
	*resource.Collection[FederatedProperties]
	Directory *Directory
}

// NewFederated returns the service on a store of documents and the directory.
func NewFederated(store resource.Store, directory *Directory) *Federated {
	return &Federated{Collection: &resource.Collection[FederatedProperties]{Kind: FederatedCredential, Store: store}, Directory: directory}
}

// resourceCode is how Resource Manager calls what is wrong with a request.
const resourceCode = "InvalidParameter"

// Put writes one. An identity has one for each issuer and subject.
func (f *Federated) Put(ctx context.Context, put resource.Put[FederatedProperties]) (arm.Resource[FederatedProperties], bool, error) {
	if m := string(put.Properties.Matching); m != "" && m != "null" {
		return arm.Resource[FederatedProperties]{}, false, problem.New(problem.Unsupported, "NotImplemented", "A claimsMatchingExpression is not available in this version of Acrux; give a 'subject'.").On("properties.claimsMatchingExpression")
	}
	put.Properties.Matching = nil
	t := trustOf(put.ID.Name(), put.Properties)
	if err := t.check(resourceCode); err != nil {
		return arm.Resource[FederatedProperties]{}, false, err
	}
	return f.PutResource(ctx, put, func(ctx context.Context, old, res *arm.Resource[FederatedProperties]) error {
		res.Location = ""
		return f.checkOthers(ctx, res.ID, t)
	})
}

func (f *Federated) checkOthers(ctx context.Context, id arm.ID, t Trust) error {
	all, err := f.List(ctx, resource.Query{Scope: id.Parent()})
	if err != nil {
		return err
	}
	others := 0
	for _, other := range all {
		if other.ID.Equal(id) {
			continue
		}
		if others++; other.Properties.Issuer == t.Issuer && other.Properties.Subject == t.Subject {
			return problem.New(problem.Conflict, "Conflict", "Issuer and subject combination already exists for this managed identity: it has the federated credential '%s' with both.", other.ID.Name())
		}
	}
	if others >= MaxCredentials {
		return tooManyTrusts(resourceCode)
	}
	return nil
}

func trustOf(name string, p FederatedProperties) Trust {
	return Trust{Name: name, Issuer: p.Issuer, Subject: p.Subject, Audiences: p.Audiences}
}

// TrustsOf returns the federated credentials of a service principal or managed identity.
func (f *Federated) TrustsOf(ctx context.Context, p Principal) ([]Trust, error) {
	if p.Kind == Application {
		return f.Directory.Trusts(ctx, p.ClientID)
	}
	id, err := arm.ParseID(p.Resource)
	if err != nil || id.Kind().Key() != UserAssigned.Key() {
		return nil, nil // users, and identities that come with another resource
	}
	all, err := f.List(ctx, resource.Query{Scope: id})
	if err != nil {
		return nil, fmt.Errorf("reading whom %s trusts: %w", p.Resource, err)
	}
	trusts := make([]Trust, len(all))
	for i, c := range all {
		trusts[i] = trustOf(c.ID.Name(), c.Properties)
	}
	return trusts, nil
}

// EqualFold reports whether other is the same ID in whatever case.
func (id ClientID) EqualFold(other string) bool { return strings.EqualFold(string(id), other) }
