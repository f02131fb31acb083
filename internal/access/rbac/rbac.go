// Package rbac decides who may do what. A role definition is a list of actions, a
// role assignment gives a role to a principal at a scope, and a scope is an arm.ID:
// an assignment counts at its scope and everywhere below.
//
// Check returns a Decision, not an error: a denial is an answer, and it explains
// itself. It knows which assignments were looked at, why none of them was enough,
// and which command would change that.
package rbac

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/memo"
)

// Assignment gives a role to a principal at a scope.
type Assignment struct {
	Name          string // GUID
	Scope         arm.ID
	PrincipalID   identity.ObjectID
	PrincipalType string // "ServicePrincipal", "User", "Group"
	RoleID        string // GUID of the definition
	Description   string
	Created       time.Time
	CreatedBy     string
}

// Errors of a Store.
var (
	ErrNotFound  = errors.New("no such role assignment")
	ErrDuplicate = errors.New("the principal has that role at that scope already")
)

// Store keeps role assignments.
type Store interface {
	// Assignment finds by scope and name, or ErrNotFound.
	Assignment(ctx context.Context, scope arm.ID, name string) (Assignment, error)
	// Assignments returns those that the query selects, in the order of scope and name. The
	// time it takes depends on how many it returns, not on how many there are.
	Assignments(ctx context.Context, q Query) ([]Assignment, error)
	// PutAssignment writes one, new or of the same scope and name; ErrDuplicate if the
	// same principal, role and scope exist under another name.
	PutAssignment(ctx context.Context, a Assignment) error
	DeleteAssignment(ctx context.Context, scope arm.ID, name string) error
}

// Query selects assignments. What it says is true of each of them.
type Query struct {
	At        []arm.ID          // its scope is one of these,
	Below     []arm.ID          // or lies below one of these, none of which lies below another
	Principal identity.ObjectID // whose it is,
	Anybody   bool              // unless it may be anybody's
	After     Place             // where the list goes on
	N         int               // how many at most; 0: all
}

// Place is the place of an assignment in a list; the zero Place is before all of them.
type Place struct {
	Scope string // key of the ID
	Name  string // in lower case
}

// Place is where the assignment is in a list.
func (a Assignment) Place() Place { return Place{a.Scope.Key(), strings.ToLower(a.Name)} }

// Everywhere selects whatever a principal has.
func Everywhere(principal identity.ObjectID) Query {
	return Query{At: []arm.ID{{}}, Below: []arm.ID{{}}, Principal: principal}
}

// Checker decides. An assignment counts from the moment the store has it: what is
// remembered is forgotten with every change of assignments and principals.
type Checker struct {
	Store     Store
	Directory *identity.Directory
	// Remembered are decisions; nil remembers none.
	Remembered *memo.Memo[Question, Decision]
}

// Question is whether a principal may do an action at a scope, by its key.
type Question struct {
	Principal     identity.ObjectID
	Action, Scope string
}

// NewChecker returns a checker that remembers decisions for a generation of its store.
func NewChecker(store Store, directory *identity.Directory, generation memo.Generation) *Checker {
	return &Checker{Store: store, Directory: directory, Remembered: memo.New[Question, Decision](generation, 10_000, nil)}
}

// Check decides whether a principal may do an action at a scope. The error is for
// faults of the store only.
func (c *Checker) Check(ctx context.Context, principal identity.ObjectID, action string, scope arm.ID) (Decision, error) {
	return c.Remembered.Get(ctx, Question{principal, action, scope.Key()}, func(ctx context.Context) (Decision, error) {
		return c.decide(ctx, principal, action, scope)
	})
}

// decide asks for the assignments that cover the scope, of which there are few whatever else
// the principal has.
func (c *Checker) decide(ctx context.Context, principal identity.ObjectID, action string, scope arm.ID) (Decision, error) {
	d := Decision{PrincipalID: principal, Action: action, Scope: scope}
	covering, err := c.Store.Assignments(ctx, Query{At: scope.Scopes(), Principal: principal})
	if err != nil {
		return d, fmt.Errorf("reading the role assignments of %s: %w", principal, err)
	}
	for _, a := range covering {
		role, known := RoleByID(a.RoleID)
		d.Allowed = d.Allowed || known && role.Permits(action)
	}
	if d.Principal, err = c.who(ctx, principal); err != nil {
		return d, err
	}
	if d.Allowed = d.Allowed && !d.Principal.Disabled; d.Allowed {
		return d, nil
	}
	return d, c.explain(ctx, &d, covering)
}

// maxLooked bounds how many assignments an explanation names beside those that cover the
// scope.
const maxLooked = 20

// explain notes which assignments were not enough.
func (c *Checker) explain(ctx context.Context, d *Decision, covering []Assignment) error {
	q := Everywhere(d.PrincipalID)
	q.N = len(covering) + maxLooked + 1
	all, err := c.Store.Assignments(ctx, q)
	if err != nil {
		return fmt.Errorf("reading the role assignments of %s: %w", d.PrincipalID, err)
	}
	elsewhere := slices.DeleteFunc(all, func(a Assignment) bool { return a.Scope.Contains(d.Scope) })
	if d.More = len(elsewhere) > maxLooked; d.More {
		elsewhere = elsewhere[:maxLooked]
	}
	for _, a := range append(covering, elsewhere...) {
		role, known := RoleByID(a.RoleID)
		d.Looked = append(d.Looked, Look{Assignment: a, Role: role, InScope: a.Scope.Contains(d.Scope), Permits: known && role.Permits(d.Action)})
	}
	slices.SortStableFunc(d.Looked, func(a, b Look) int { return a.Assignment.Created.Compare(b.Assignment.Created) })
	return nil
}

// Where returns at which scopes, at or below one, a principal may do an action: the topmost
// of them, in the order of their keys. It is the scope itself if it is everywhere, and nil
// if it is nowhere.
func (c *Checker) Where(ctx context.Context, principal identity.ObjectID, action string, scope arm.ID) ([]arm.ID, error) {
	d, err := c.Check(ctx, principal, action, scope)
	switch {
	case err != nil:
		return nil, err
	case d.Allowed:
		return []arm.ID{scope}, nil
	case d.Principal.Disabled:
		return nil, nil
	}
	all, err := c.Store.Assignments(ctx, Query{Below: []arm.ID{scope}, Principal: principal})
	if err != nil {
		return nil, fmt.Errorf("reading the role assignments of %s: %w", principal, err)
	}
	var scopes []arm.ID
	have := map[string]bool{} // by key: what is above comes before what is below
	for _, a := range all {
		role, known := RoleByID(a.RoleID)
		above := slices.ContainsFunc(a.Scope.Scopes(), func(id arm.ID) bool { return have[id.Key()] })
		if known && role.Permits(action) && !above {
			scopes, have[a.Scope.Key()] = append(scopes, a.Scope), true
		}
	}
	return scopes, nil
}

// who finds the principal for an explanation; one that is gone is named by its ID.
func (c *Checker) who(ctx context.Context, id identity.ObjectID) (identity.Principal, error) {
	p, err := c.Directory.Principal(ctx, id)
	if errors.Is(err, identity.ErrNotFound) {
		return identity.Principal{ObjectID: id}, nil
	}
	return p, err
}

// match reports whether an action fits a pattern of a role definition, in which
// each * stands for any text. Case does not count.
func match(pattern, action string) bool {
	pattern, action = strings.ToLower(pattern), strings.ToLower(action)
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == action
	}
	if !strings.HasPrefix(action, parts[0]) {
		return false
	}
	action = action[len(parts[0]):]
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(action, part)
		if i < 0 {
			return false
		}
		action = action[i+len(part):]
	}
	return strings.HasSuffix(action, last)
}
