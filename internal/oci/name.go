package oci

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
)

// The grammars of the OCI Distribution specification 1.1, "Pulling manifests".
var (
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// maxRepository is the longest repository name, in bytes.
const maxRepository = 255

// ValidRepository reports whether name may name a repository.
func ValidRepository(name string) bool {
	return len(name) <= maxRepository && repositoryPattern.MatchString(name)
}

// ValidTag reports whether name may name a tag.
func ValidTag(name string) bool { return tagPattern.MatchString(name) }

// Reference names an image: registry/repository:tag@digest. Tag or Digest or both
// are set.
type Reference struct {
	Registry   string
	Repository string
	Tag        string
	Digest     digest.Digest
}

// ParseName reads "repository:tag", "repository@digest" or "repository" (tag
// latest), without a registry.
func ParseName(text string) (Reference, error) {
	name, dgst, hasDigest := strings.Cut(text, "@")
	var ref Reference
	if hasDigest {
		ref.Digest = digest.Digest(dgst)
		if err := ref.Digest.Validate(); err != nil {
			return ref, fmt.Errorf("%q: %w", text, err)
		}
	}
	ref.Repository = name
	if i := strings.LastIndex(name, ":"); i >= 0 {
		ref.Repository, ref.Tag = name[:i], name[i+1:]
		if !ValidTag(ref.Tag) {
			return ref, fmt.Errorf("%q: %q is not a tag", text, ref.Tag)
		}
	}
	if !ValidRepository(ref.Repository) {
		return ref, fmt.Errorf("%q: %q is not a repository name", text, ref.Repository)
	}
	if ref.Tag == "" && !hasDigest {
		ref.Tag = "latest"
	}
	return ref, nil
}

// Name renders the reference without its registry.
func (r Reference) Name() string {
	text := r.Repository
	if r.Tag != "" {
		text += ":" + r.Tag
	}
	if r.Digest != "" {
		text += "@" + r.Digest.String()
	}
	return text
}
