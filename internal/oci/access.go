// Package oci holds the vocabulary of registries: names of repositories and tags,
// digests, media types, and access, which is what an OAuth scope of the distribution
// token protocol asks for. (The word scope is kept for arm.ID.)
package oci

import (
	"slices"
	"strings"
)

// RefreshUser is the user name that says: the password is a refresh token of the registry (ACR's
// "docker login with a token").
const RefreshUser = "00000000-0000-0000-0000-000000000000"

// Action is something done to the contents of a registry.
type Action string

// The actions of access tokens.
const (
	Pull          Action = "pull"
	Push          Action = "push"
	Delete        Action = "delete"
	MetadataRead  Action = "metadata_read"
	MetadataWrite Action = "metadata_write"
	// DeletedRead and DeletedRestore are about what soft delete keeps.
	DeletedRead    Action = "deleted_read"
	DeletedRestore Action = "deleted_restore"
	// Catalog lists the repositories of a registry. On the wire it is "*" on
	// registry:catalog.
	Catalog Action = "*"
)

// Access is a repository, or the catalogue of the registry, and actions on it.
type Access struct {
	Type    string   `json:"type"` // "repository" or "registry"
	Name    string   `json:"name"`
	Actions []Action `json:"actions"`
}

// AnyRepository is the name that stands for all repositories in an access.
const AnyRepository = "*"

// RepositoryAccess is access to one repository.
func RepositoryAccess(name string, actions ...Action) Access {
	return Access{Type: "repository", Name: name, Actions: actions}
}

// DeletedCatalogAccess is access to the list of repositories with something deleted.
func DeletedCatalogAccess() Access {
	return Access{Type: "registry", Name: "deleted_catalog", Actions: []Action{Catalog}}
}

// CatalogAccess is access to the list of repositories.
func CatalogAccess() Access {
	return Access{Type: "registry", Name: "catalog", Actions: []Action{Catalog}}
}

// String renders the access as an OAuth scope.
func (a Access) String() string {
	words := make([]string, len(a.Actions))
	for i, action := range a.Actions {
		words[i] = string(action)
	}
	return a.Type + ":" + a.Name + ":" + strings.Join(words, ",")
}

// Covers reports whether a grants all that need asks for.
func (a Access) Covers(need Access) bool {
	any := a.Type == "repository" && a.Name == AnyRepository
	if a.Type != need.Type || a.Name != need.Name && !any {
		return false
	}
	for _, action := range need.Actions {
		if !slices.Contains(a.Actions, action) {
			return false
		}
	}
	return true
}

// maxAccess bounds how much one token may be asked for.
const maxAccess = 64

// ParseAccess reads OAuth scopes: any number of texts, each with any number of
// scopes between blanks. The name may hold colons (a host with a port), so a scope
// is cut at its first and last one. What is not understood is left out: a token
// grants what it can.
func ParseAccess(texts []string) []Access {
	var all []Access
	for _, text := range texts {
		for scope := range strings.FieldsSeq(text) {
			first, last := strings.Index(scope, ":"), strings.LastIndex(scope, ":")
			if first < 0 || first == last || len(all) == maxAccess {
				continue
			}
			access := Access{Type: scope[:first], Name: scope[first+1 : last]}
			for word := range strings.SplitSeq(scope[last+1:], ",") {
				if action := Action(strings.TrimSpace(word)); action != "" && !slices.Contains(access.Actions, action) {
					access.Actions = append(access.Actions, action)
				}
			}
			if access.Type == "repository" && slices.Contains(access.Actions, "*") {
				access.Actions = []Action{Pull, Push, Delete, MetadataRead, MetadataWrite, DeletedRead, DeletedRestore}
			}
			all = append(all, access)
		}
	}
	return all
}
