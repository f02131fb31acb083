package arm

import (
	"encoding/json"
	"sort"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
)

// Identity is the identity block of a resource: who the resource is towards
// others. It is rendered as Azure does: members that do not apply are null.
type Identity struct {
	System *SystemIdentity
	User   map[string]UserIdentity // by resource ID, as the client spelled it
}

// SystemIdentity is a resource's own identity, made and removed with it.
type SystemIdentity struct {
	PrincipalID string
	TenantID    string
}

// UserIdentity is a reference to a user-assigned identity.
type UserIdentity struct {
	ClientID    string `json:"clientId"`
	PrincipalID string `json:"principalId"`
}

// Type is the word for what is assigned: "SystemAssigned", "UserAssigned", both
// joined by a comma, or "None".
func (i *Identity) Type() string {
	switch {
	case i == nil || (i.System == nil && len(i.User) == 0):
		return "None"
	case i.System == nil:
		return "UserAssigned"
	case len(i.User) == 0:
		return "SystemAssigned"
	}
	return "SystemAssigned, UserAssigned"
}

// UserIDs returns the resource IDs of the user-assigned identities, sorted.
func (i *Identity) UserIDs() []string {
	if i == nil {
		return nil
	}
	ids := make([]string, 0, len(i.User))
	for id := range i.User {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return ids
}

type identityJSON struct {
	PrincipalID *string                 `json:"principalId"`
	TenantID    *string                 `json:"tenantId"`
	Type        string                  `json:"type"`
	User        map[string]UserIdentity `json:"userAssignedIdentities"`
}

// MarshalJSON renders the block with nulls where something is not assigned.
func (i *Identity) MarshalJSON() ([]byte, error) {
	if i == nil || i.Type() == "None" {
		return []byte("null"), nil
	}
	out := identityJSON{Type: i.Type(), User: i.User}
	if i.System != nil {
		out.PrincipalID, out.TenantID = &i.System.PrincipalID, &i.System.TenantID
	}
	if len(i.User) == 0 {
		out.User = nil
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads the block as MarshalJSON writes it.
func (i *Identity) UnmarshalJSON(p []byte) error {
	var in identityJSON
	if err := json.Unmarshal(p, &in); err != nil {
		return err
	}
	i.User = in.User
	if in.PrincipalID != nil && in.TenantID != nil {
		i.System = &SystemIdentity{PrincipalID: *in.PrincipalID, TenantID: *in.TenantID}
	}
	return nil
}

// IdentityChange is what a request says about the identity block: which kinds
// there shall be, and which user-assigned identities to add or (null) to remove.
type IdentityChange struct {
	None   bool // the request says "None"
	System bool
	Users  bool
	Assign []string
	Remove []string
}

// Wire is an identity block as requests have it, echoes of answers included.
func (c *IdentityChange) Wire() any {
	return struct {
		PrincipalID any                     `json:"principalId"`
		TenantID    any                     `json:"tenantId"`
		Type        string                  `json:"type"`
		User        map[string]UserIdentity `json:"userAssignedIdentities"`
	}{}
}

// Silent reports whether a block, which may be missing, says nothing.
func (c *IdentityChange) Silent() bool {
	return c == nil || !c.None && !c.System && !c.Users && len(c.Assign)+len(c.Remove) == 0
}

// UnmarshalJSON reads a request's identity block. Members that only answers have
// (principalId, clientId) are ignored: clients echo what they were given.
func (c *IdentityChange) UnmarshalJSON(p []byte) error {
	var in struct {
		Type string                     `json:"type"`
		User map[string]json.RawMessage `json:"userAssignedIdentities"`
	}
	if err := json.Unmarshal(p, &in); err != nil {
		return err
	}
	for word := range strings.SplitSeq(in.Type, ",") {
		switch strings.ToLower(strings.TrimSpace(word)) {
		case "systemassigned":
			c.System = true
		case "userassigned":
			c.Users = true
		case "none":
			c.None = true
		case "":
		default:
			return problem.New(problem.Invalid, "InvalidIdentityType", "The identity type '%s' is not one of None, SystemAssigned, UserAssigned or 'SystemAssigned, UserAssigned'.", in.Type).On("identity.type")
		}
	}
	for id, value := range in.User {
		if string(value) == "null" {
			c.Remove = append(c.Remove, id)
		} else {
			c.Assign = append(c.Assign, id)
		}
	}
	sort.Strings(c.Assign)
	sort.Strings(c.Remove)
	return c.contradiction(in.Type)
}

// contradiction refuses what could be done in part only: identities without the type that
// has them, and none together with some.
func (c *IdentityChange) contradiction(given string) error {
	switch {
	case given == "" && len(c.Assign)+len(c.Remove) > 0:
		return problem.New(problem.Invalid, "InvalidIdentityType",
			"The identity block names user-assigned identities and has no type: it is UserAssigned, or 'SystemAssigned, UserAssigned'.").On("identity.type")
	case !c.Users && len(c.Assign) > 0:
		return problem.New(problem.Invalid, "InvalidIdentityType",
			"The identity type '%s' has no user-assigned identities, and the block names some.", given).On("identity.userAssignedIdentities")
	case c.None && (c.System || c.Users):
		return problem.New(problem.Invalid, "InvalidIdentityType", "The identity type '%s' is None and another.",
			given).On("identity.type")
	}
	return nil
}
