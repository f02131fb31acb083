package armapi

import (
	"regexp"
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
)

// belowRegistry refuses role assignments at what is in a registry and no resource: repositories, tags,
// manifests. Rights on those are tokens' of the registry.
func (s *Server) belowRegistry(segments []string) error {
	at := slices.IndexFunc(segments, func(segment string) bool { return strings.EqualFold(segment, registry.Kind.Types[0]) })
	end := slices.IndexFunc(segments, func(segment string) bool { return strings.EqualFold(segment, "Microsoft.Authorization") })
	if at < 2 || !strings.EqualFold(segments[at-1], registry.Kind.Namespace) || end < at+4 || !isProviders(segments[end-1]) {
		return nil
	}
	name, inside := segments[at+1], segments[at+2:end-1]
	child := arm.Kind{Namespace: registry.Kind.Namespace, Types: []string{registry.Kind.Types[0], inside[0]}}
	if _, served := s.kinds[child.Key()]; served || slices.ContainsFunc(inside, isProviders) {
		return nil
	}
	return problem.New(problem.Invalid, "InvalidScope", "'%s' in the registry '%s' is no scope of role assignments, which count for a whole registry. "+
		"Rights on one repository are those of tokens: content/read to pull, content/write to push as well, content/delete to delete.",
		strings.Join(inside, "/"), name).
		Hint("az acr token create --registry %s --name NAME --repository %s content/read", plainOr(name, "REGISTRY"), plainOr(repositoryIn(inside), "REPOSITORY"))
}

// repositoryIn is the repository that somebody meant by a path below a registry.
func repositoryIn(path []string) string {
	if slices.Contains([]string{"repositories", "repository", "v2", "manifests", "tags"}, strings.ToLower(path[0])) {
		path = path[1:]
	}
	for _, word := range []string{"tags", "manifests", "_tags", "_manifests"} {
		if i := slices.Index(path, word); i > 0 {
			path = path[:i]
		}
	}
	name, _, _ := strings.Cut(strings.Join(path, "/"), "@")
	name, _, _ = strings.Cut(name, ":")
	return name
}

// plainWord is what can stand in a command.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,254}$`)

func plainOr(text, otherwise string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return otherwise
}
