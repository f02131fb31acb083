package rbac

import (
	"fmt"
	"strings"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
)

// Decision is the answer to "may this principal do that there?".
type Decision struct {
	Allowed     bool
	PrincipalID identity.ObjectID
	Principal   identity.Principal
	Action      string
	Scope       arm.ID
	Looked      []Look // the assignments that were not enough; some of them if there are many
	More        bool   // there are others, none of which covers the scope
}

// Look is one assignment that was looked at, and why it did not do.
type Look struct {
	Assignment Assignment
	Role       Role
	InScope    bool
	Permits    bool
}

// Why says in words why the assignment was not enough.
func (l Look) Why() string {
	role := l.Role.Name
	if role == "" {
		role = "an unknown role " + l.Assignment.RoleID
	}
	switch {
	case l.Permits:
		return fmt.Sprintf("%s at %s permits the action, but not at this scope", role, l.Assignment.Scope)
	case l.InScope:
		return fmt.Sprintf("%s at %s covers this scope, but does not permit the action", role, l.Assignment.Scope)
	}
	return fmt.Sprintf("%s at %s covers neither this scope nor the action", role, l.Assignment.Scope)
}

// Who names the principal with all its IDs.
func (d Decision) Who() string {
	p := d.Principal
	var b strings.Builder
	switch {
	case p.Kind == identity.ManagedIdentity:
		b.WriteString("the managed identity")
	case p.Kind == identity.Application:
		b.WriteString("the service principal")
	case p.Kind == identity.User:
		b.WriteString("the user")
	default:
		b.WriteString("the principal")
	}
	if p.DisplayName != "" {
		fmt.Fprintf(&b, " '%s'", p.DisplayName)
	}
	fmt.Fprintf(&b, " (principalId %s", d.PrincipalID)
	if p.UserName != "" {
		fmt.Fprintf(&b, ", name %s", p.UserName)
	}
	if p.ClientID != "" {
		fmt.Fprintf(&b, ", clientId %s", p.ClientID)
	}
	if p.Resource != "" {
		fmt.Fprintf(&b, ", id %s", p.Resource)
	}
	b.WriteString(")")
	return b.String()
}

// Explain says who was refused what where, which assignments were looked at, and
// what would help.
func (d Decision) Explain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s may not perform '%s' on '%s'.", upperFirst(d.Who()), d.Action, d.Scope)
	switch {
	case d.Principal.Disabled:
		b.WriteString(" It is disabled.")
	case len(d.Looked) == 0:
		b.WriteString(" It has no role assignment at all.")
	default:
		b.WriteString(" Role assignments looked at:")
		for i, look := range d.Looked {
			if i > 0 {
				b.WriteString(";")
			}
			b.WriteString(" " + look.Why())
		}
		if d.More {
			b.WriteString("; and others, none of which covers this scope")
		}
		b.WriteString(".")
	}
	return b.String()
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// Fix is the one command that would make the decision an allowing one.
func (d Decision) Fix() string {
	role, ok := smallestRole(d.Action)
	if !ok || d.Principal.Disabled {
		return ""
	}
	name := role.Name
	if strings.Contains(name, " ") {
		name = "'" + name + "'"
	}
	return fmt.Sprintf("az role assignment create --assignee %s --scope %s --role %s", d.PrincipalID, d.Scope, name)
}

// Problem is the denial as Resource Manager's error.
func (d Decision) Problem() *problem.Error {
	p := problem.New(problem.Denied, "AuthorizationFailed",
		"The client '%s' with object id '%s' does not have authorization to perform action '%s' over scope '%s' or the scope is invalid. %s",
		d.PrincipalID, d.PrincipalID, d.Action, d.Scope, d.Explain())
	if fix := d.Fix(); fix != "" {
		p.Hint("%s", fix)
	}
	return p
}
