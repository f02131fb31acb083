package rbac

import "strings"

// Role is a role definition.
type Role struct {
	ID          string // GUID
	Name        string
	Description string
	Actions     []string // patterns
	NotActions  []string // exceptions to Actions
}

// Permits reports whether the role allows the action.
func (r Role) Permits(action string) bool {
	return anyMatch(r.Actions, action) && !anyMatch(r.NotActions, action)
}

func anyMatch(patterns []string, action string) bool {
	for _, pattern := range patterns {
		if match(pattern, action) {
			return true
		}
	}
	return false
}

// Actions on the contents of a registry. The data plane asks for these.
const (
	ActionPull          = "Microsoft.ContainerRegistry/registries/pull/read"
	ActionPush          = "Microsoft.ContainerRegistry/registries/push/write"
	ActionDelete        = "Microsoft.ContainerRegistry/registries/artifacts/delete"
	ActionMetadataRead  = "Microsoft.ContainerRegistry/registries/metadata/read"
	ActionMetadataWrite = "Microsoft.ContainerRegistry/registries/metadata/write"
	ActionDeletedRead   = "Microsoft.ContainerRegistry/registries/deleted/read"
	ActionRestore       = "Microsoft.ContainerRegistry/registries/deleted/restore/action"
	ActionCatalog       = "Microsoft.ContainerRegistry/registries/catalog/read"
	ActionSign          = "Microsoft.ContainerRegistry/registries/sign/write"
	ActionImport        = "Microsoft.ContainerRegistry/registries/importImage/action"
)

// granting are the actions by which access is given; those who manage without granting lack them.
var granting = []string{"Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write", "Microsoft.Authorization/elevateAccess/Action"}

// builtin are the built-in roles, with Azure's GUIDs.
var builtin = []Role{
	{ID: "7f951dda-4ed3-4680-a7ca-43fe172d538d", Name: "AcrPull", Description: "Pull artifacts from a registry.",
		Actions: []string{ActionPull}},
	{ID: "8311e382-0749-4cb8-b61a-304f252e45ec", Name: "AcrPush", Description: "Push artifacts to a registry or pull them from it.",
		Actions: []string{ActionPull, ActionPush}},
	{ID: "c2f4ef07-c644-48eb-af81-4b1b4947fb11", Name: "AcrDelete", Description: "Delete repositories, tags or manifests of a registry.",
		Actions: []string{ActionDelete}},
	{ID: "6cef56e8-d556-48e5-a04f-b8e64114680f", Name: "AcrImageSigner", Description: "Push trusted images to a registry.",
		Actions: []string{ActionSign}},
	{ID: "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", Name: "Owner", Description: "Manage everything, access to resources included.",
		Actions: []string{"*"}},
	{ID: "b24988ac-6180-42a0-ab88-20f7382dd24c", Name: "Contributor", Description: "Manage everything, but not who has access.",
		Actions: []string{"*"}, NotActions: granting},
	{ID: "acdd72a7-3385-48ef-bd42-f606fba81ae7", Name: "Reader", Description: "See everything, change nothing.",
		Actions: []string{"*/read"}},
	{ID: "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", Name: "User Access Administrator", Description: "Manage who has access to resources.",
		Actions: []string{"*/read", "Microsoft.Authorization/*"}},
	{ID: "f58310d9-a9f6-439a-9e8d-f62e7b41a168", Name: "Role Based Access Control Administrator", Description: "Manage access by assigning roles.",
		Actions: []string{"*/read", "Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete"}},
	{ID: "e40ec5ca-96e0-45a2-b4ff-59039f2c2b59", Name: "Managed Identity Contributor", Description: "Create, read, change and delete user-assigned identities.",
		Actions: []string{"Microsoft.ManagedIdentity/userAssignedIdentities/read", "Microsoft.ManagedIdentity/userAssignedIdentities/write", "Microsoft.ManagedIdentity/userAssignedIdentities/delete", "Microsoft.Resources/subscriptions/resourceGroups/read"}},
	{ID: "f1a07417-d97a-45cb-824c-7a7467783830", Name: "Managed Identity Operator", Description: "Read and assign user-assigned identities.",
		Actions: []string{"Microsoft.ManagedIdentity/userAssignedIdentities/*/read", "Microsoft.ManagedIdentity/userAssignedIdentities/read", "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action", "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"}},
}

// Roles returns all role definitions.
func Roles() []Role { return builtin }

// RoleByID finds a definition by its GUID.
func RoleByID(id string) (Role, bool) {
	for _, role := range builtin {
		if strings.EqualFold(role.ID, id) {
			return role, true
		}
	}
	return Role{}, false
}

// smallestRole names the built-in role with the fewest actions that permits action.
func smallestRole(action string) (Role, bool) {
	var best Role
	found := false
	for _, role := range builtin {
		if role.Permits(action) && (!found || breadth(role) < breadth(best)) {
			best, found = role, true
		}
	}
	return best, found
}

// breadth orders roles by how much they permit: patterns count more than words.
func breadth(role Role) int {
	n := 0
	for _, action := range role.Actions {
		switch {
		case action == "*":
			n += 10_000 - 10*len(role.NotActions)
		case strings.Contains(action, "*"):
			n += 100
		default:
			n++
		}
	}
	return n
}
