package repotoken

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/secret"
)

// GenerateRequest asks for new passwords of a token.
type GenerateRequest struct {
	TokenID string     `json:"tokenId"`
	Name    string     `json:"name"`   // of one password; empty: both
	Expiry  *time.Time `json:"expiry"` // nil: never
}

// Generated are new passwords, in clear text.
type Generated struct {
	Username  string   `json:"username"`
	Passwords []Issued `json:"passwords"`
}

// Issued is a new password. Its value is shown to whoever asked for it, and to nobody
// ever again.
type Issued struct {
	Password
	Value string `json:"value"`
}

// Generate makes passwords of a token of the registry anew. The old ones, and every
// token they were changed for, count no more when it returns.
func (t *Tokens) Generate(ctx context.Context, reg arm.ID, req GenerateRequest, caller string, now time.Time) (Generated, error) {
	id, err := arm.ParseID(req.TokenID)
	if err != nil || id.Kind().Key() != Kind.Key() || !id.Parent().Equal(reg) {
		return Generated{}, problem.New(problem.Invalid, "InvalidTokenId", "'%.300s' is no token of registry '%s'.", req.TokenID, reg.Name()).On("tokenId")
	}
	if req.Expiry != nil && !req.Expiry.After(now) {
		return Generated{}, problem.New(problem.Invalid, "InvalidParameterValue", "The expiry %s has passed.", arm.Time(*req.Expiry)).On("expiry")
	}
	names := passwordNames
	if req.Name != "" {
		name, err := passwordName(req.Name)
		if err != nil {
			return Generated{}, err
		}
		names = []string{name}
	}
	var out Generated
	err = t.Store.InTx(ctx, func(ctx context.Context) (err error) {
		out, err = t.generate(ctx, id, names, req.Expiry, resource.Put[Properties]{Caller: caller, Now: now})
		return err
	})
	return out, err
}

// generate keeps what a password is recognised by and writes that there is one. put says
// who asks, and when.
func (t *Tokens) generate(ctx context.Context, id arm.ID, names []string, expiry *time.Time, put resource.Put[Properties]) (Generated, error) {
	res, err := t.Get(ctx, id)
	if err != nil {
		return Generated{}, err
	}
	out := Generated{Username: res.ID.Name()}
	for _, name := range names {
		issued := Issued{Password: Password{Name: name, CreationTime: truncated(put.Now)}, Value: registry.NewPassword().Reveal()}
		if expiry != nil {
			issued.Expiry = truncated(*expiry)
		}
		if err := t.secrets.PutSecret(ctx, res.ID, name, secret.New(markOf(issued.Value))); err != nil {
			return Generated{}, err
		}
		res.Properties.Credentials.replace(issued.Password)
		out.Passwords = append(out.Passwords, issued)
	}
	put.ID, put.Tags, put.Properties = res.ID, res.Tags, res.Properties
	_, _, err = t.PutResource(ctx, put, func(_ context.Context, _, res *Token) error {
		res.Location = ""
		return nil
	})
	return out, err
}

// replace puts a password in the place of the one of its name, in the order of names.
func (c *Credentials) replace(with Password) {
	all := []Password{}
	for _, name := range passwordNames {
		if name == with.Name {
			all = append(all, with)
			continue
		}
		for _, p := range c.Passwords {
			if p.Name == name {
				all = append(all, p)
			}
		}
	}
	c.Passwords = all
}

// markOf is a hash: passwords are 256 random bits, which no search finds from it.
func markOf(password string) string {
	sum := sha256.Sum256([]byte("token password " + password))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// rememberedActions is how many actions of grants are remembered.
const rememberedActions = 100_000

// Grant is a token as it counts now.
type Grant struct {
	Token       Token
	Map         string // name of its scope map
	SystemMap   bool   // nobody can change it
	Permissions Permissions
	marks       map[string]string // by the password's name
}

func (g Grant) cost() int { return len(g.Permissions) + 10 }

// Grant returns the token of that name as it counts now, or resource.ErrNotFound. What it
// returns is not to be changed.
func (t *Tokens) Grant(ctx context.Context, reg arm.ID, name string) (Grant, error) {
	id := reg.Child(Kind.Types[1], name)
	return t.remembered.Get(ctx, id.Key(), func(ctx context.Context) (Grant, error) { return t.grant(ctx, id) })
}

func (t *Tokens) grant(ctx context.Context, id arm.ID) (Grant, error) {
	res, err := t.Get(ctx, id)
	if problem.Is(err, problem.NotFound) {
		err = errors.Join(resource.ErrNotFound, err)
	}
	if err != nil {
		return Grant{}, err
	}
	mapID, err := arm.ParseID(res.Properties.ScopeMapID)
	if err != nil {
		return Grant{}, err
	}
	m, err := t.maps.Get(ctx, mapID)
	if err != nil {
		return Grant{}, err
	}
	secrets, err := t.secrets.Secrets(ctx, res.ID)
	if err != nil {
		return Grant{}, err
	}
	g := Grant{Token: res, Map: m.ID.Name(), SystemMap: m.Properties.Type == systemDefined, Permissions: newPermissions(m.Properties.Actions), marks: map[string]string{}}
	for _, name := range passwordNames {
		g.marks[name] = secrets[name].Reveal()
	}
	return g, nil
}

// Verdict is whether who signed in with a password may go on.
type Verdict int

// The verdicts.
const (
	Wrong    Verdict = iota // not one of the passwords, or no longer
	Expired                 // once right
	Disabled                // right, of a token that is switched off
	Counts                  // right
)

// String names the verdict.
func (v Verdict) String() string {
	return [...]string{Wrong: "wrong", Expired: "expired", Disabled: "disabled", Counts: "counts"}[v]
}

// SignIn returns the mark by which a password is recognised later, and tells nothing
// about it, and what the password is worth.
func (g Grant) SignIn(password string, now time.Time) (mark string, verdict Verdict) {
	mark = markOf(password)
	verdict, _ = g.Holds(mark, now)
	return mark, verdict
}

// Holds tells what the password of a mark is worth now, and its name.
func (g Grant) Holds(mark string, now time.Time) (Verdict, string) {
	for _, p := range g.Token.Properties.Credentials.Passwords {
		kept := g.marks[p.Name]
		if kept == "" || subtle.ConstantTimeCompare([]byte(kept), []byte(mark)) != 1 {
			continue
		}
		switch {
		case !strings.EqualFold(g.Token.Properties.Status, enabled):
			return Disabled, p.Name
		case p.Expiry != nil && !now.Before(*p.Expiry):
			return Expired, p.Name
		}
		return Counts, p.Name
	}
	return Wrong, ""
}
