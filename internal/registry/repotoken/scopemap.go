package repotoken

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/registry"
)

// MapKind is the kind of scope maps.
var MapKind = arm.NewKind(registry.Kind.String() + "/scopeMaps")

// MapProperties are those of a scope map.
type MapProperties struct {
	Description       string   `json:"description"`
	Type              string   `json:"type"`
	CreationDate      string   `json:"creationDate"`
	ProvisioningState string   `json:"provisioningState"`
	Actions           []string `json:"actions"`
}

// ScopeMap is a scope map as a resource.
type ScopeMap = arm.Resource[MapProperties]

const (
	userDefined   = "UserDefined"
	systemDefined = "SystemDefined"
	succeeded     = "Succeeded"
)

// system are the scope maps that every registry has. They are no documents: nobody
// changes them, and a new version may add one.
var system = []struct {
	name, description string
	verbs             []Verb
}{
	{"_repositories_admin", "Everything in all repositories", []Verb{MetadataRead, MetadataWrite, ContentRead, ContentWrite, ContentDelete}},
	{"_repositories_pull", "Pull from all repositories", []Verb{ContentRead}},
	{"_repositories_pull_metadata_read", "Pull from all repositories, and list what is in them", []Verb{ContentRead, MetadataRead}},
	{"_repositories_push", "Push to all repositories, and pull from them", []Verb{ContentRead, ContentWrite}},
	{"_repositories_push_metadata_write", "Push to all repositories, pull from them, and read and change their metadata", []Verb{MetadataRead, MetadataWrite, ContentRead, ContentWrite}},
}

// ScopeMaps serves the scope maps of registries.
type ScopeMaps struct {
	*resource.Collection[MapProperties]
	tokens *resource.Collection[Properties]
}

var _ resource.Provider[MapProperties] = (*ScopeMaps)(nil)

// namePattern is that of Azure, for scope maps and tokens.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{5,50}$`)

// maxDescription bounds the description of a scope map, in bytes.
const maxDescription = 256

func isSystem(name string) bool {
	for _, s := range system {
		if strings.EqualFold(s.name, name) {
			return true
		}
	}
	return false
}

// systemMaps are those of the registry. They are as old as it is.
func (m *ScopeMaps) systemMaps(ctx context.Context, reg arm.ID) ([]ScopeMap, error) {
	doc, err := m.Store.Get(ctx, reg)
	if errors.Is(err, resource.ErrNotFound) {
		return nil, resource.CheckParents(ctx, m.Store, reg.Child("", ""))
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", reg, err)
	}
	all := make([]ScopeMap, len(system))
	for i, s := range system {
		p := MapProperties{Description: s.description, Type: systemDefined, CreationDate: arm.Time(doc.Created), ProvisioningState: succeeded}
		for _, verb := range s.verbs {
			p.Actions = append(p.Actions, "repositories/*/"+string(verb))
		}
		all[i] = ScopeMap{ID: doc.ID.Child(MapKind.Types[1], s.name), Properties: p, Created: doc.Created, Updated: doc.Created}
	}
	return all, nil
}

// Get returns a scope map, one of every registry's or one that was made.
func (m *ScopeMaps) Get(ctx context.Context, id arm.ID) (ScopeMap, error) {
	if !isSystem(id.Name()) {
		return m.Collection.Get(ctx, id)
	}
	all, err := m.systemMaps(ctx, id.Parent())
	for _, s := range all {
		if s.ID.Equal(id) {
			return s, nil
		}
	}
	return ScopeMap{}, err
}

// List returns the scope maps of a registry that the query selects. Names that begin with
// an underscore are the system's, and stand where the order of keys has them.
func (m *ScopeMaps) List(ctx context.Context, q resource.Query) ([]ScopeMap, error) {
	all, err := m.Collection.List(ctx, q)
	if err != nil {
		return nil, err
	}
	fixed, err := m.systemMaps(ctx, q.Scope)
	if err != nil {
		return nil, err
	}
	for _, s := range fixed {
		if s.ID.Key() > q.After && q.Has(s.ID) {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b ScopeMap) int { return cmp.Compare(a.ID.Key(), b.ID.Key()) })
	if q.N > 0 && len(all) > q.N {
		all = all[:q.N]
	}
	return all, nil
}

// Put creates or changes a scope map. What it permits counts from the next request of
// its tokens on.
func (m *ScopeMaps) Put(ctx context.Context, put resource.Put[MapProperties]) (ScopeMap, bool, error) {
	p := &put.Properties
	var err error
	switch {
	case isSystem(put.ID.Name()):
		return ScopeMap{}, false, unchangeable(put.ID)
	case !namePattern.MatchString(put.ID.Name()):
		return ScopeMap{}, false, badName("scope map", put.ID)
	case len(p.Description) > maxDescription:
		return ScopeMap{}, false, problem.New(problem.Invalid, "InvalidScopeMapDescription", "The description has more than %d characters.", maxDescription).On("properties.description")
	}
	if p.Actions, err = checkActions(p.Actions); err != nil {
		return ScopeMap{}, false, err
	}
	return m.PutResource(ctx, put, func(_ context.Context, _, res *ScopeMap) error {
		res.Location = "" // it has none in Azure either
		res.Properties.Type, res.Properties.ProvisioningState, res.Properties.CreationDate = userDefined, succeeded, arm.Time(res.Created)
		return nil
	})
}

func badName(what string, id arm.ID) error {
	return problem.New(problem.Invalid, "InvalidResourceName", "The %s name '%.100s' is not valid: it has 5 to 50 letters, digits, '-' and '_'.", what, id.Name()).On("name")
}

func unchangeable(id arm.ID) error {
	return problem.New(problem.Invalid, "ScopeMapIsSystemDefined", "The scope map '%s' is the same in every registry: it cannot be changed or deleted.", id.Name()).On("name").
		Hint("az acr scope-map create --registry %s --name NAME --repository REPOSITORY content/read", id.Parent().Name())
}

// maxNamed bounds how many tokens a refusal names.
const maxNamed = 5

// Delete removes a scope map that no token has.
func (m *ScopeMaps) Delete(ctx context.Context, id arm.ID) (existed bool, err error) {
	if isSystem(id.Name()) {
		return false, unchangeable(id)
	}
	err = m.Store.InTx(ctx, func(ctx context.Context) error {
		if err := resource.CheckParents(ctx, m.Store, id); err != nil {
			return err
		}
		tokens, err := m.tokens.List(ctx, resource.Query{Scope: id.Parent()})
		if err != nil {
			return err
		}
		var names []string
		for _, t := range tokens {
			if strings.EqualFold(t.Properties.ScopeMapID, id.String()) {
				names = append(names, t.ID.Name())
			}
		}
		if len(names) > 0 {
			return inUse(id, names)
		}
		existed, err = m.Collection.Delete(ctx, id)
		return err
	})
	return existed, err
}

func inUse(id arm.ID, names []string) error {
	reg, named := id.Parent().Name(), strings.Join(names[:min(len(names), maxNamed)], ", ")
	if more := len(names) - maxNamed; more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	p := problem.New(problem.Conflict, "ScopeMapInUse", "The scope map '%s' is in use by tokens of registry '%s': %s.", id.Name(), reg, named).On("name")
	return p.Hint("az acr token update --registry %s --name %s --scope-map NAME", reg, names[0]).Hint("az acr token delete --registry %s --name %s", reg, names[0])
}

// truncated is a time as documents have it: clients read no more than microseconds.
func truncated(t time.Time) *time.Time {
	t = t.UTC().Truncate(time.Microsecond)
	return &t
}
