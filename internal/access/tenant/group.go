// Package tenant holds what resources live in: resource groups of the one
// subscription of the one tenant of an installation.
package tenant

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
)

// Groups is the kind of resource groups. Their IDs have no namespace.
var Groups = resource.Groups

// Properties are those of a resource group.
type Properties struct {
	ProvisioningState string `json:"provisioningState"`
}

// GroupService serves resource groups.
type GroupService struct {
	*resource.Collection[Properties]
}

// Group is a resource group on the wire: an envelope of its own, since its type does
// not stand in its ID.
type Group = arm.Resource[Properties]

// NewGroups returns the service.
func NewGroups(store resource.Store) *GroupService {
	return &GroupService{Collection: &resource.Collection[Properties]{Kind: Groups, Store: store}}
}

// maxGroup is how many characters the name of a group has at most.
const maxGroup = 90

// validGroup reports whether a name may name a group. It is no regular expression: one with
// classes of Unicode, so often repeated, takes a tenth of the server's start to compile.
func validGroup(name string) bool {
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsNumber(r) && !strings.ContainsRune("_().-", r) {
			return false
		}
	}
	return name != "" && utf8.ValidString(name) && utf8.RuneCountInString(name) <= maxGroup && !strings.HasSuffix(name, ".")
}

// Get returns a group.
func (g *GroupService) Get(ctx context.Context, id arm.ID) (Group, error) {
	res, err := g.Collection.Get(ctx, id)
	if problem.Is(err, problem.NotFound) {
		err = resource.CheckParents(ctx, g.Store, id.Child("", ""))
	}
	return res, err
}

// Put creates a group, or changes its tags: a group does not move.
func (g *GroupService) Put(ctx context.Context, put resource.Put[Properties]) (Group, bool, error) {
	if !validGroup(put.ID.Group) {
		return Group{}, false, problem.New(problem.Invalid, "InvalidResourceGroup", "The provided resource group name '%s' has these invalid characters or is too long: it has 1 to 90 letters, digits, '.', '_', '-', '(' and ')' and does not end in '.'.", put.ID.Group).On("name")
	}
	if put.Location == "" {
		return Group{}, false, problem.New(problem.Invalid, "LocationRequired", "The location property is required for this definition.").On("location")
	}
	put.Properties.ProvisioningState = "Succeeded"
	return g.PutResource(ctx, put, func(_ context.Context, old, res *Group) error {
		if old != nil && !strings.EqualFold(old.Location, res.Location) {
			return problem.New(problem.Conflict, "InvalidResourceGroupLocation", "Invalid resource group location '%s'. The Resource group already exists in location '%s'.", res.Location, old.Location).On("location")
		}
		return nil
	})
}
