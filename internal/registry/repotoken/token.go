package repotoken

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/memo"
	"github.com/acrux/acrux/internal/registry"
)

// Kind is the kind of tokens.
var Kind = arm.NewKind(registry.Kind.String() + "/tokens")

// Properties are those of a token.
type Properties struct {
	CreationDate      string      `json:"creationDate"`
	ProvisioningState string      `json:"provisioningState"`
	ScopeMapID        string      `json:"scopeMapId"`
	Status            string      `json:"status"`
	Credentials       Credentials `json:"credentials"`
}

// Credentials are how a token signs in, without what is secret of it. In a request to
// write a token, passwords are those it keeps; null keeps all.
type Credentials struct {
	Certificates []any      `json:"certificates"` // refused: nobody signs in with one here
	Passwords    []Password `json:"passwords"`
}

// Password is one of the two passwords of a token: one is renewed while the other is in
// use.
type Password struct {
	Name         string     `json:"name"`
	CreationTime *time.Time `json:"creationTime,omitempty"`
	Expiry       *time.Time `json:"expiry,omitempty"` // nil: it does not expire
}

// passwordNames are Azure's names of the two passwords.
var passwordNames = []string{"password1", "password2"}

const (
	enabled  = "enabled"
	disabled = "disabled"
)

// Token is a token as a resource.
type Token = arm.Resource[Properties]

// Tokens serves the tokens of registries. It is safe for concurrent use.
type Tokens struct {
	*resource.Collection[Properties]
	maps       *ScopeMaps
	secrets    resource.Secrets
	remembered *memo.Memo[string, Grant]
}

var _ resource.Provider[Properties] = (*Tokens)(nil)

// New returns the services of scope maps and of tokens, whose passwords are kept in
// secrets. Grants are remembered for a generation of the store.
func New(store resource.Store, secrets resource.Secrets, generation memo.Generation) (*ScopeMaps, *Tokens) {
	tokens := &resource.Collection[Properties]{Kind: Kind, Store: store}
	maps := &ScopeMaps{Collection: &resource.Collection[MapProperties]{Kind: MapKind, Store: store}, tokens: tokens}
	return maps, &Tokens{Collection: tokens, maps: maps, secrets: secrets, remembered: memo.New[string](generation, rememberedActions, Grant.cost)}
}

// Put creates a token, without passwords, or changes it. The passwords that a request
// does not name are forgotten.
func (t *Tokens) Put(ctx context.Context, put resource.Put[Properties]) (Token, bool, error) {
	if err := checkName(put.ID); err != nil {
		return Token{}, false, err
	}
	if err := put.Properties.check(); err != nil {
		return Token{}, false, err
	}
	return t.PutResource(ctx, put, func(ctx context.Context, old, res *Token) error {
		res.Location = "" // it has none in Azure either
		res.Properties.ProvisioningState, res.Properties.CreationDate = succeeded, arm.Time(res.Created)
		if err := t.bind(ctx, res); err != nil {
			return err
		}
		return t.keep(ctx, old, res)
	})
}

// checkName refuses names that somebody else signs in with.
func checkName(id arm.ID) error {
	name, reg := id.Name(), id.Parent().Name()
	if !namePattern.MatchString(name) {
		return badName("token", id)
	}
	if strings.EqualFold(name, reg) {
		return problem.New(problem.Invalid, "InvalidResourceName", "A token cannot have the name of its registry: it is that of the admin user.").On("name")
	}
	if !CanName(name) {
		return problem.New(problem.Invalid, "InvalidResourceName", "A token cannot have a GUID as its name: principals sign in with theirs.").On("name")
	}
	return nil
}

// CanName reports whether a user name may be that of a token.
func CanName(name string) bool {
	_, err := uuid.Parse(name)
	return err != nil && namePattern.MatchString(name)
}

func (p *Properties) check() error {
	switch {
	case p.Status == "" || strings.EqualFold(p.Status, enabled):
		p.Status = enabled
	case strings.EqualFold(p.Status, disabled):
		p.Status = disabled
	default:
		return problem.New(problem.Invalid, "InvalidParameterValue", "The status '%.100s' is neither 'enabled' nor 'disabled'.", p.Status).On("properties.status")
	}
	if len(p.Credentials.Certificates) > 0 {
		return problem.New(problem.Unsupported, "NotImplemented", "Certificates of tokens are not available in this version of Acrux.").On("properties.credentials.certificates").
			Hint("az acr token credential generate")
	}
	p.Credentials.Certificates = []any{}
	return nil
}

// bind finds the scope map that a token names, which must be of its registry.
func (t *Tokens) bind(ctx context.Context, res *Token) error {
	reg := res.ID.Parent()
	bad := problem.New(problem.Invalid, "InvalidScopeMapId", "The scope map '%.300s' of the token is none of registry '%s'.", res.Properties.ScopeMapID, reg.Name()).On("properties.scopeMapId").
		Hint("az acr scope-map list --registry %s", reg.Name())
	id, err := arm.ParseID(res.Properties.ScopeMapID)
	if err != nil || id.Kind().Key() != MapKind.Key() || !id.Parent().Equal(reg) {
		return bad
	}
	found, err := t.maps.Get(ctx, id)
	if problem.Is(err, problem.NotFound) {
		return bad
	}
	res.Properties.ScopeMapID = found.ID.String()
	return err
}

// keep gives a token that is written those of its passwords that the request names, as
// they are, and forgets the others.
func (t *Tokens) keep(ctx context.Context, old, res *Token) error {
	asked, have := res.Properties.Credentials.Passwords, []Password{}
	if old != nil {
		have = old.Properties.Credentials.Passwords
	}
	res.Properties.Credentials.Passwords = have
	if asked == nil {
		return nil
	}
	for _, p := range asked {
		if err := mayKeep(res.ID, p, have); err != nil {
			return err
		}
	}
	kept := []Password{}
	for _, p := range have {
		if slices.ContainsFunc(asked, p.same) {
			kept = append(kept, p)
		} else if err := t.secrets.DeleteSecret(ctx, res.ID, p.Name); err != nil {
			return err
		}
	}
	res.Properties.Credentials.Passwords = kept
	return nil
}

func (p Password) same(other Password) bool { return strings.EqualFold(p.Name, other.Name) }

// mayKeep refuses what only Generate does: making a password, and changing when it expires.
func mayKeep(id arm.ID, asked Password, have []Password) error {
	name, err := passwordName(asked.Name)
	if err != nil {
		return err
	}
	generate := func(p *problem.Error) error {
		return p.On("properties.credentials.passwords").Hint("az acr token credential generate --registry %s --name %s --%s", id.Parent().Name(), id.Name(), name)
	}
	i := slices.IndexFunc(have, asked.same)
	switch {
	case i < 0:
		return generate(problem.New(problem.Invalid, "TokenPasswordNotFound", "The token '%s' has no '%s' to keep.", id.Name(), name))
	case asked.Expiry != nil && (have[i].Expiry == nil || !asked.Expiry.Truncate(time.Second).Equal(have[i].Expiry.Truncate(time.Second))):
		return generate(problem.New(problem.Invalid, "InvalidParameterValue", "When the '%s' of token '%s' expires is changed by a new one.", name, id.Name()))
	}
	return nil
}

func passwordName(name string) (string, error) {
	for _, known := range passwordNames {
		if strings.EqualFold(known, name) {
			return known, nil
		}
	}
	return "", problem.New(problem.Invalid, "InvalidParameterValue", "The password name '%.100s' is neither 'password1' nor 'password2'.", name).On("name")
}
