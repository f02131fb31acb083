package arm

import (
	"regexp"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
)

// Kind is a resource type: namespace and type path.
type Kind struct {
	Namespace string
	Types     []string
}

// NewKind splits a type such as "Microsoft.ContainerRegistry/registries/tasks".
func NewKind(typ string) Kind {
	parts := strings.Split(typ, "/")
	return Kind{Namespace: parts[0], Types: parts[1:]}
}

// String renders the type with slashes.
func (k Kind) String() string {
	if k.Namespace == "" {
		return ""
	}
	return k.Namespace + "/" + strings.Join(k.Types, "/")
}

// Key is the type for comparison: lower case.
func (k Kind) Key() string { return strings.ToLower(k.String()) }

// Canonical returns id with the spelling of the kind in place of the caller's. The ID
// of a group has no type and stays as it is.
func (k Kind) Canonical(id ID) ID {
	if len(id.Names) == 0 {
		return id
	}
	id.Namespace, id.Types = k.Namespace, k.Types
	return id
}

var versionPattern = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(-preview|-privatepreview|-alpha|-beta)?$`)

// CheckVersion judges the api-version of a request. Oldest is the oldest date the
// kind has had; later versions are accepted, since members only ever were added.
func CheckVersion(version, oldest string) error {
	switch {
	case version == "":
		return problem.New(problem.Invalid, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.")
	case !versionPattern.MatchString(version):
		return problem.New(problem.Invalid, "InvalidApiVersionParameter", "The api-version '%s' is invalid: it is a date such as 2023-07-01, possibly with '-preview'.", version)
	case version[:10] < oldest || version[:10] > newestVersion:
		return problem.New(problem.Invalid, "NoRegisteredProviderFound", "No registered resource provider found for API version '%s'. Versions from %s to %s are served.", version, oldest, newestVersion)
	}
	return nil
}

// newestVersion bounds what is accepted: a version from a later year is a typing
// error rather than a client from the future.
const newestVersion = "2027-12-31"
