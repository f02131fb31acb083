package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
)

// UserAssigned is the kind of user-assigned managed identities.
var UserAssigned = arm.NewKind("Microsoft.ManagedIdentity/userAssignedIdentities")

// Properties are those of a user-assigned identity.
type Properties struct {
	TenantID    string   `json:"tenantId"`
	PrincipalID ObjectID `json:"principalId"`
	ClientID    ClientID `json:"clientId"`

	// What newer api-versions have beside these; there is no isolation and no restriction.
	IsolationScope string        `json:"isolationScope,omitempty"`
	Restrictions   *Restrictions `json:"assignmentRestrictions,omitempty"`
}

// Restrictions say to resources of which providers an identity may be assigned.
type Restrictions struct {
	Providers []string `json:"providers"`
}

// anywhere is the isolation scope of an identity that may be assigned wherever there is a
// right to.
const anywhere = "None"

// check refuses what would bind an identity: nothing here would hold to it.
func (p Properties) check() error {
	refuse := func(member string) error {
		return problem.New(problem.Unsupported, "NotImplemented",
			"The property '%s' of an identity is not available in this version of Acrux.", member).On("properties." + member)
	}
	switch {
	case p.IsolationScope != "" && !strings.EqualFold(p.IsolationScope, anywhere):
		return refuse("isolationScope")
	case p.Restrictions != nil && len(p.Restrictions.Providers) > 0:
		return refuse("assignmentRestrictions")
	}
	return nil
}

// Managed serves user-assigned identities and keeps the identity blocks of other
// resources in step with the directory.
type Managed struct {
	*resource.Collection[Properties]
	Directory *Directory
}

// NewManagedService returns the service on a store of documents and the directory.
func NewManagedService(store resource.Store, directory *Directory) *Managed {
	return &Managed{Collection: &resource.Collection[Properties]{Kind: UserAssigned, Store: store}, Directory: directory}
}

// Put creates the identity and its principal, or changes location and tags of one
// that exists: its IDs never change.
func (m *Managed) Put(ctx context.Context, put resource.Put[Properties]) (arm.Resource[Properties], bool, error) {
	if err := checkName(put.ID.Name()); err != nil {
		return arm.Resource[Properties]{}, false, err
	}
	if err := put.Properties.check(); err != nil {
		return arm.Resource[Properties]{}, false, err
	}
	return m.PutResource(ctx, put, func(ctx context.Context, old, res *arm.Resource[Properties]) error {
		if old != nil {
			given := res.Properties.IsolationScope
			res.Properties = old.Properties
			res.Properties.IsolationScope = cmp.Or(given, old.Properties.IsolationScope)
			return nil
		}
		p, err := m.Directory.NewManaged(ctx, res.ID.Name(), res.ID.String(), put.Now)
		res.Properties = Properties{TenantID: m.Directory.TenantID, PrincipalID: p.ObjectID, ClientID: p.ClientID,
			IsolationScope: res.Properties.IsolationScope}
		return err
	})
}

func checkName(name string) error {
	if len(name) < 3 || len(name) > 128 {
		return problem.New(problem.Invalid, "InvalidParameter", "The identity name '%s' must have 3 to 128 characters.", name).On("name")
	}
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || r != '-' && r != '_') {
			return problem.New(problem.Invalid, "InvalidParameter", "The identity name '%s' may hold letters, digits, '-' and '_' and begins with a letter or digit.", name).On("name")
		}
	}
	return nil
}

// Resolve applies a change to the identity block of the resource id and returns the
// new block, nil if nothing is assigned. It makes the system identity when it is
// first asked for and removes it when it is no longer. The change is the whole of
// what shall be; a nil change leaves the block as it is.
func (m *Managed) Resolve(ctx context.Context, id arm.ID, old *arm.Identity, change *arm.IdentityChange, now time.Time) (*arm.Identity, error) {
	if change == nil {
		return old, nil
	}
	block := &arm.Identity{}
	var err error
	if block.System, err = m.resolveSystem(ctx, id, old, change.System, now); err != nil {
		return nil, err
	}
	if block.User, err = m.resolveUsers(ctx, change); err != nil {
		return nil, err
	}
	if block.Type() == "None" {
		return nil, nil
	}
	return block, nil
}

func (m *Managed) resolveSystem(ctx context.Context, id arm.ID, old *arm.Identity, want bool, now time.Time) (*arm.SystemIdentity, error) {
	had := old != nil && old.System != nil
	switch {
	case want && had:
		return old.System, nil
	case want:
		p, err := m.Directory.NewManaged(ctx, id.Name(), id.String(), now)
		return &arm.SystemIdentity{PrincipalID: string(p.ObjectID), TenantID: m.Directory.TenantID}, err
	case had:
		return nil, m.Directory.DeletePrincipal(ctx, ObjectID(old.System.PrincipalID))
	}
	return nil, nil
}

func (m *Managed) resolveUsers(ctx context.Context, change *arm.IdentityChange) (map[string]arm.UserIdentity, error) {
	if !change.Users {
		if len(change.Assign) > 0 {
			return nil, problem.New(problem.Invalid, "InvalidIdentityType", "User-assigned identities are given, but the identity type is not 'UserAssigned'.").On("identity.type")
		}
		return nil, nil
	}
	users := make(map[string]arm.UserIdentity, len(change.Assign))
	for _, text := range change.Assign {
		properties, err := m.lookup(ctx, text)
		if err != nil {
			return nil, err
		}
		users[text] = arm.UserIdentity{ClientID: string(properties.ClientID), PrincipalID: string(properties.PrincipalID)}
	}
	return users, nil
}

func (m *Managed) lookup(ctx context.Context, text string) (Properties, error) {
	id, err := arm.ParseID(text)
	if err != nil || id.Kind().Key() != UserAssigned.Key() {
		return Properties{}, problem.New(problem.Invalid, "FailedIdentityOperation", "'%s' is not the resource ID of a user-assigned identity.", text).
			On("identity.userAssignedIdentities").Hint("az identity show --resource-group GROUP --name NAME --query id --output tsv")
	}
	doc, err := m.Store.Get(ctx, id)
	if errors.Is(err, resource.ErrNotFound) {
		return Properties{}, problem.New(problem.Invalid, "FailedIdentityOperation", "The user-assigned identity '%s' does not exist.", text).
			On("identity.userAssignedIdentities").Hint("az identity create --resource-group %s --name %s", id.Group, id.Name())
	}
	if err != nil {
		return Properties{}, fmt.Errorf("reading %s: %w", id, err)
	}
	res, err := m.Get(ctx, doc.ID)
	return res.Properties, err
}
