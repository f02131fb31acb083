package taskfile

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// Reference is an image by name, as the dependency report shows it.
type Reference struct {
	Registry   string `json:"registry"`
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	Digest     string `json:"digest"`
	Reference  string `json:"reference"` // the name, with ":latest" if it had neither tag nor digest
}

// plain is the image alone, however its name was written.
func (r Reference) plain() Reference {
	r.Reference = ""
	return r
}

// dockerHub is how the report calls Docker Hub.
const dockerHub = "registry.hub.docker.com"

// ParseReference reads the name of an image. A name without a registry is one of
// Docker Hub; a first part counts as a registry if it has a dot or a colon, or is
// "localhost".
func ParseReference(name string) (Reference, error) {
	name = withDefaultTag(name)
	host, rest, found := strings.Cut(name, "/")
	if !found || !isRegistryHost(host) {
		host, rest = dockerHub, name
		if repository := repositoryOf(rest); !strings.Contains(repository, "/") {
			rest = "library/" + rest
		}
	}
	parsed, err := reference.Parse(rest)
	named, ok := parsed.(reference.Named)
	if err != nil || !ok {
		//lint:ignore ST1005 the runner's words
		return Reference{}, fmt.Errorf("Failed to parse image reference, ensure tags have a valid format: %s: invalid reference format", name)
	}
	ref := Reference{Registry: host, Repository: named.Name(), Reference: name}
	if tagged, ok := parsed.(reference.Tagged); ok {
		ref.Tag = tagged.Tag()
	}
	if digested, ok := parsed.(reference.Digested); ok {
		ref.Digest = digested.Digest().String()
	}
	return ref, nil
}

// withDefaultTag adds ":latest" to a name without tag and digest. A colon in the
// registry's part is a port and no tag.
func withDefaultTag(name string) string {
	if strings.Contains(name, "@") || strings.LastIndex(name, ":") > strings.LastIndex(name, "/") {
		return name
	}
	return name + ":latest"
}
