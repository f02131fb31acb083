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
	"strings"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/store/memo"
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
	// AssignmentsOf returns those of a principal, anywhere.
	AssignmentsOf(ctx context.Context, principal identity.ObjectID) ([]Assignment, error)
	// Assignments returns all.
	Assignments(ctx context.Context) ([]Assignment, error)
	// PutAssignment writes one, new or of the same scope and name; ErrDuplicate if the
	// same principal, role and scope exist under another name.
	PutAssignment(ctx context.Context, a Assignment) error
	DeleteAssignment(ctx context.Context, scope arm.ID, name string) error
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

func (c *Checker) decide(ctx context.Context, principal identity.ObjectID, action string, scope arm.ID) (Decision, error) {
	d := Decision{PrincipalID: principal, Action: action, Scope: scope}
	assignments, err := c.Store.AssignmentsOf(ctx, principal)
	if err != nil {
		return d, fmt.Errorf("reading the role assignments of %s: %w", principal, err)
	}
	for _, a := range assignments {
		role, known := RoleByID(a.RoleID)
		look := Look{Assignment: a, Role: role, InScope: a.Scope.Contains(scope), Permits: known && role.Permits(action)}
		if look.InScope && look.Permits {
			d.Allowed = true
			break
		}
		d.Looked = append(d.Looked, look)
	}
	d.Principal, err = c.who(ctx, principal)
	d.Allowed = d.Allowed && !d.Principal.Disabled
	return d, err
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
