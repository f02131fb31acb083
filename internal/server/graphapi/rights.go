package graphapi

import (
	"fmt"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
)

// assign is the action that stands for writing the directory. Who may assign roles at
// the subscription could give himself every right in it, so he gains none by making or
// taking over principals whose rights lie in it.
const assign = "Microsoft.Authorization/roleAssignments/write"

// mayWrite returns nil if the caller may make principals, and change the one that is
// named, if one is. A principal with a role above the subscription is changed only by
// those who may assign roles there: with its password one could act as it.
func (c *call) mayWrite(who identity.ObjectID) error {
	scope := arm.SubscriptionID(c.server.Subscription)
	if who != "" {
		above, err := c.server.Checker.Store.Assignments(c.Context(), rbac.Query{At: []arm.ID{{}}, Principal: who, N: 1})
		if err != nil {
			return fmt.Errorf("reading the role assignments of %s: %w", who, err)
		}
		if len(above) > 0 {
			scope = arm.ID{}
		}
	}
	d, err := c.server.Checker.Check(c.Context(), c.caller.ObjectID, assign, scope)
	if err != nil || d.Allowed {
		return err
	}
	p := problem.New(problem.Denied, "Authorization_RequestDenied", "Insufficient privileges to complete the operation. Writing the directory takes the right to assign roles. %s", d.Explain())
	if fix := d.Fix(); fix != "" {
		p.Hint("%s", fix)
	}
	return p
}

// mayManage returns nil if the caller owns the application or may write it and its
// service principal. Whoever owns an application acts as it, and so decides himself what
// it proves itself with.
func (c *call) mayManage(app identity.Registration) error {
	if app.Owner == c.caller.ObjectID {
		return nil
	}
	p, err := c.server.Directory.PrincipalByClientID(c.Context(), app.ClientID)
	if err := orNobody(err); err != nil {
		return err
	}
	return c.mayWrite(p.ObjectID)
}
