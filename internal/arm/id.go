// Package arm holds the vocabulary of Azure Resource Manager: resource IDs and
// their kinds, the envelope every resource travels in, the identity block, ETags,
// paging and api-versions. It knows no resource type in particular.
//
// An ID is the key of a resource, the scope of a role assignment and the subject
// of an authorisation check, all at once: containment of IDs is inheritance.
package arm

import (
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
)

// ID is the canonical path of a resource, resource group or subscription, or "/"
// for the root scope. Its parts keep the casing they were given; comparison is by
// Key, which ignores case. The zero value is the root scope.
type ID struct {
	Subscription string
	Group        string
	Namespace    string   // "Microsoft.ContainerRegistry"; empty for groups and above
	Types        []string // "registries", "tasks"
	Names        []string // "myregistry", "helloworldtask"
}

// ParseID parses a path such as /subscriptions/S/resourceGroups/G/providers/NS/T/N.
// Repeated and trailing slashes are forgiven, since the stock CLI sends them.
func ParseID(path string) (ID, error) {
	segments := split(path)
	var id ID
	if len(segments) == 0 {
		return id, nil
	}
	bad := problem.New(problem.Invalid, "InvalidResourceID", "%q is not a resource ID", path)
	if !strings.EqualFold(segments[0], "subscriptions") || len(segments) < 2 {
		return ID{}, bad
	}
	id.Subscription, segments = segments[1], segments[2:]
	if len(segments) >= 2 && strings.EqualFold(segments[0], "resourceGroups") {
		id.Group, segments = segments[1], segments[2:]
	}
	if len(segments) == 0 {
		return id, nil
	}
	if !strings.EqualFold(segments[0], "providers") || len(segments) < 4 || len(segments)%2 != 0 {
		return ID{}, bad
	}
	id.Namespace = segments[1]
	for i := 2; i < len(segments); i += 2 {
		id.Types = append(id.Types, segments[i])
		id.Names = append(id.Names, segments[i+1])
	}
	return id, nil
}

func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// SubscriptionID is the ID of a subscription.
func SubscriptionID(subscription string) ID { return ID{Subscription: subscription} }

// GroupID is the ID of a resource group.
func GroupID(subscription, group string) ID { return ID{Subscription: subscription, Group: group} }

// Child returns the ID of a resource below id, which must be a resource.
func (id ID) Child(typ, name string) ID {
	id.Types = append(append([]string(nil), id.Types...), typ)
	id.Names = append(append([]string(nil), id.Names...), name)
	return id
}

// In returns the ID of a top-level resource of the kind in a resource group.
func (id ID) In(kind Kind, name string) ID {
	return ID{Subscription: id.Subscription, Group: id.Group, Namespace: kind.Namespace, Types: kind.Types, Names: []string{name}}
}

// String renders the ID as Azure spells it.
func (id ID) String() string {
	var b strings.Builder
	if id.Subscription == "" {
		return "/"
	}
	b.WriteString("/subscriptions/" + id.Subscription)
	if id.Group != "" {
		b.WriteString("/" + id.groupsSegment() + "/" + id.Group)
	}
	if id.Namespace != "" {
		b.WriteString("/providers/" + id.Namespace)
		for i, typ := range id.Types {
			b.WriteString("/" + typ + "/" + id.Names[i])
		}
	}
	return b.String()
}

// groupsSegment is how the type spells "resourceGroups" in its IDs: managed
// identities, alone, use lower case, and clients show it.
func (id ID) groupsSegment() string {
	if strings.EqualFold(id.Namespace, "Microsoft.ManagedIdentity") {
		return "resourcegroups"
	}
	return "resourceGroups"
}

// Key is the ID for comparison: lower case.
func (id ID) Key() string { return strings.ToLower(id.String()) }

// Equal compares without case.
func (id ID) Equal(other ID) bool { return id.Key() == other.Key() }

// Contains reports whether other is id or lies below it.
func (id ID) Contains(other ID) bool {
	if id.IsRoot() {
		return true
	}
	mine, theirs := id.Key(), other.Key()
	return mine == theirs || strings.HasPrefix(theirs, mine+"/")
}

// Scopes returns id and everything above it, narrowest first, the root last.
func (id ID) Scopes() []ID {
	var scopes []ID
	for !id.IsRoot() {
		scopes = append(scopes, id)
		id = id.Parent()
	}
	return append(scopes, id)
}

// Parent is the ID one level up: parent resource, group, subscription, root.
func (id ID) Parent() ID {
	switch n := len(id.Names); {
	case n > 1:
		id.Types, id.Names = id.Types[:n-1:n-1], id.Names[:n-1:n-1]
	case n == 1:
		id.Namespace, id.Types, id.Names = "", nil, nil
	case id.Group != "":
		id.Group = ""
	default:
		id = ID{}
	}
	return id
}

// IsRoot reports whether id is "/".
func (id ID) IsRoot() bool { return id.Subscription == "" }

// Name is the last name: of the resource, the group or the subscription.
func (id ID) Name() string {
	if n := len(id.Names); n > 0 {
		return id.Names[n-1]
	}
	if id.Group != "" {
		return id.Group
	}
	return id.Subscription
}

// Kind is the kind of the resource that id names; the zero Kind above resources.
func (id ID) Kind() Kind { return Kind{Namespace: id.Namespace, Types: id.Types} }
