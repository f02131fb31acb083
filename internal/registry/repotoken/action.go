// Package repotoken holds repository-scoped tokens: users of one registry who are no
// principals and may do what a scope map says, repository by repository.
//
//	password ──▶ token ──▶ scope map ──▶ actions: repositories/NAME/content/read, …
//
// Passwords are random and kept as hashes, sealed; their clear text is in the answer to
// Generate and nowhere else. What a token may do is read for each request, so a changed
// scope map, a disabled token and a renewed or expired password count at once, whatever
// access tokens there are.
package repotoken

import (
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/oci"
)

// Verb is what an action of a scope map lets one do with a repository.
type Verb string

// The verbs.
const (
	ContentRead   Verb = "content/read"
	ContentWrite  Verb = "content/write"
	ContentDelete Verb = "content/delete"
	MetadataRead  Verb = "metadata/read"
	MetadataWrite Verb = "metadata/write"
)

var verbs = []Verb{ContentRead, ContentWrite, ContentDelete, MetadataRead, MetadataWrite}

// permission is an action taken apart. The repository is a name, "*" for all of them, or
// "prefix/*" for those below a prefix.
type permission struct {
	repository string
	verb       Verb
}

// Permissions are the actions of a scope map, to be asked.
type Permissions map[permission]bool

func newPermissions(actions []string) Permissions {
	all := Permissions{}
	for _, action := range actions {
		if p, err := parseAction(action); err == nil { // they were checked when they were written
			all[p] = true
		}
	}
	return all
}

// Allow reports whether the verb is permitted on a repository.
func (p Permissions) Allow(repository string, verb Verb) bool {
	if p[permission{repository, verb}] || p[permission{"*", verb}] {
		return true
	}
	for i := strings.LastIndex(repository, "/"); i >= 0; i = strings.LastIndex(repository, "/") {
		repository = repository[:i]
		if p[permission{repository + "/*", verb}] {
			return true
		}
	}
	return false
}

// Visible reports whether a repository is in the token's catalogue.
func (p Permissions) Visible(repository string) bool {
	return p.Allow(repository, ContentRead) || p.Allow(repository, MetadataRead)
}

// maxActions bounds a scope map: every verb on 500 repositories.
const maxActions = 2500

// checkActions returns the actions in lower case, each once.
func checkActions(actions []string) ([]string, error) {
	if len(actions) > maxActions {
		return nil, problem.New(problem.Invalid, "InvalidScopeMapActions", "The scope map has %d actions; there may be %d.", len(actions), maxActions).On("properties.actions")
	}
	checked := make([]string, 0, len(actions))
	seen := map[string]bool{}
	for _, action := range actions {
		if _, err := parseAction(action); err != nil {
			return nil, err
		}
		if action = strings.ToLower(action); !seen[action] {
			seen[action] = true
			checked = append(checked, action)
		}
	}
	return checked, nil
}

func parseAction(text string) (permission, error) {
	kind, rest, _ := strings.Cut(strings.ToLower(text), "/")
	if kind == "gateway" {
		return permission{}, problem.New(problem.Unsupported, "NotImplemented", "The action '%.300s' is one of connected registries, which are not available in this version of Acrux.", text).On("properties.actions")
	}
	for _, verb := range verbs {
		if name, ok := strings.CutSuffix(rest, "/"+string(verb)); ok && kind == "repositories" && validTarget(name) {
			return permission{name, verb}, nil
		}
	}
	return permission{}, problem.New(problem.Invalid, "InvalidScopeMapActions",
		"The action '%.300s' is not valid: it is repositories/NAME/ACTION, where NAME is a repository, * or PREFIX/*, and ACTION one of %s.", text, verbList()).On("properties.actions")
}

// validTarget: an asterisk stands for whole segments, once, at the end.
func validTarget(name string) bool {
	if name == "*" {
		return true
	}
	return oci.ValidRepository(strings.TrimSuffix(name, "/*"))
}

func verbList() string {
	words := make([]string, len(verbs))
	for i, verb := range verbs {
		words[i] = string(verb)
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}
