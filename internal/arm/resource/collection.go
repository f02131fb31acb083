package resource

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
)

// Groups is the kind of resource groups, which are documents like others.
var Groups = arm.NewKind("Microsoft.Resources/resourceGroups")

// Collection is the Provider of a type without rules of its own, and the base of
// those with some. Its fields are set once.
type Collection[P any] struct {
	Kind  arm.Kind
	Store Store
	// Keys gives the alternate keys of a resource; nil if the type has none.
	Keys func(arm.Resource[P]) map[string]string
}

var _ Provider[struct{}] = (*Collection[struct{}])(nil)

// Get returns the resource, with the errors Azure gives when it or its group is missing.
func (c *Collection[P]) Get(ctx context.Context, id arm.ID) (arm.Resource[P], error) {
	doc, err := c.Store.Get(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return arm.Resource[P]{}, c.missing(ctx, id)
	}
	if err != nil {
		return arm.Resource[P]{}, fmt.Errorf("reading %s: %w", id, err)
	}
	return decode[P](doc)
}

// Lookup returns the resource with the alternate key, or ErrNotFound.
func (c *Collection[P]) Lookup(ctx context.Context, key, value string) (arm.Resource[P], error) {
	doc, err := c.Store.Lookup(ctx, c.Kind, key, value)
	if err != nil {
		return arm.Resource[P]{}, err
	}
	return decode[P](doc)
}

// List returns the resources of the kind that the query selects.
func (c *Collection[P]) List(ctx context.Context, q Query) ([]arm.Resource[P], error) {
	q.Kind = c.Kind
	if q.Scope.Group != "" {
		if err := CheckParents(ctx, c.Store, q.Scope.Child("", "")); err != nil {
			return nil, err
		}
	}
	docs, err := c.Store.List(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("listing %s below %s: %w", c.Kind, q.Scope, err)
	}
	all := make([]arm.Resource[P], 0, len(docs))
	for _, doc := range docs {
		res, err := decode[P](doc)
		if err != nil {
			return nil, err
		}
		all = append(all, res)
	}
	return all, nil
}

// Put writes the resource. Identity is kept as it is: types with an identity block
// resolve put.Identity themselves and call PutResource.
func (c *Collection[P]) Put(ctx context.Context, put Put[P]) (arm.Resource[P], bool, error) {
	return c.PutResource(ctx, put, nil)
}

// PutResource writes the resource in one transaction; change, if not nil, may adjust
// what will be written, knowing what is there (nil if nothing is).
func (c *Collection[P]) PutResource(ctx context.Context, put Put[P], change func(ctx context.Context, old *arm.Resource[P], res *arm.Resource[P]) error) (arm.Resource[P], bool, error) {
	var res arm.Resource[P]
	var created bool
	err := c.Store.InTx(ctx, func(ctx context.Context) error {
		old, err := c.current(ctx, put.ID)
		if err != nil {
			return err
		}
		if put.IfAbsent && old != nil || !matches(put.IfMatch, old) {
			return ErrPrecondition()
		}
		created = old == nil
		if res, err = c.next(ctx, put, old); err != nil {
			return err
		}
		if change != nil {
			if err := change(ctx, old, &res); err != nil {
				return err
			}
		}
		return c.write(ctx, &res)
	})
	return res, created, err
}

func (c *Collection[P]) current(ctx context.Context, id arm.ID) (*arm.Resource[P], error) {
	doc, err := c.Store.Get(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", id, err)
	}
	old, err := decode[P](doc)
	return &old, err
}

func matches[P any](want string, old *arm.Resource[P]) bool {
	return want == "" || want == "*" && old != nil || old != nil && old.ETag == want
}

// ErrPrecondition is the error of a write whose condition does not hold.
func ErrPrecondition() *problem.Error {
	return problem.New(problem.Precondition, "PreconditionFailed", "The resource was changed by someone else: the condition on its ETag does not hold.")
}

// next is what put makes of old.
func (c *Collection[P]) next(ctx context.Context, put Put[P], old *arm.Resource[P]) (arm.Resource[P], error) {
	res := arm.Resource[P]{ID: c.Kind.Canonical(put.ID), Location: put.Location, Tags: put.Tags, SKU: put.SKU,
		Properties: put.Properties, Created: put.Now, Updated: put.Now, CreatedBy: put.Caller, UpdatedBy: put.Caller}
	if old != nil {
		res.ID, res.Created, res.CreatedBy, res.Identity = old.ID, old.Created, old.CreatedBy, old.Identity
		if res.Location == "" {
			res.Location = old.Location
		}
		return res, nil
	}
	if c.Kind.Key() == Groups.Key() {
		res.ID = put.ID // the ID of a group has no type
		return res, nil
	}
	group, err := c.parents(ctx, put.ID)
	if err != nil {
		return res, err
	}
	if res.Location == "" {
		res.Location = group.Location
	}
	// The group's own spelling wins over the caller's.
	res.ID.Group, res.ID.Subscription = group.ID.Group, group.ID.Subscription
	return res, nil
}

func (c *Collection[P]) parents(ctx context.Context, id arm.ID) (Document, error) {
	if err := CheckParents(ctx, c.Store, id); err != nil {
		return Document{}, err
	}
	return c.Store.Get(ctx, arm.GroupID(id.Subscription, id.Group))
}

func (c *Collection[P]) write(ctx context.Context, res *arm.Resource[P]) error {
	doc, err := encode(*res)
	if err != nil {
		return err
	}
	doc.Kind = c.Kind
	if c.Keys != nil {
		doc.Keys = c.Keys(*res)
	}
	res.ETag = doc.ETag
	return c.Store.Put(ctx, doc)
}

// Delete removes the resource and all below it.
func (c *Collection[P]) Delete(ctx context.Context, id arm.ID) (bool, error) {
	err := c.Store.Delete(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return false, CheckParents(ctx, c.Store, id)
	}
	return err == nil, err
}

func (c *Collection[P]) missing(ctx context.Context, id arm.ID) error {
	if err := CheckParents(ctx, c.Store, id); err != nil {
		return err
	}
	return NotFound(c.Kind.Canonical(id))
}

// NotFound is Azure's error for a resource that is not there.
func NotFound(id arm.ID) *problem.Error {
	return problem.New(problem.NotFound, "ResourceNotFound", "The Resource '%s/%s' under resource group '%s' was not found.",
		id.Kind(), id.Name(), id.Group).On(id.String())
}

// CheckParents returns an error unless the resource group of id and the resources
// above it exist.
func CheckParents(ctx context.Context, store Store, id arm.ID) error {
	for parent := id.Parent(); parent.Group != ""; parent = parent.Parent() {
		_, err := store.Get(ctx, parent)
		switch {
		case err == nil:
		case !errors.Is(err, ErrNotFound):
			return fmt.Errorf("reading %s: %w", parent, err)
		case parent.Namespace == "":
			return problem.New(problem.NotFound, "ResourceGroupNotFound", "Resource group '%s' could not be found.", parent.Group).
				Hint("az group create --name %s --location eastus", parent.Group)
		default:
			if err := CheckParents(ctx, store, parent); err != nil {
				return err
			}
			return NotFound(parent)
		}
	}
	return nil
}

func decode[P any](doc Document) (arm.Resource[P], error) {
	res := arm.Resource[P]{ID: doc.ID, Location: doc.Location, Tags: doc.Tags, SKU: doc.SKU, Identity: doc.Identity,
		ETag: doc.ETag, Created: doc.Created, Updated: doc.Updated, CreatedBy: doc.CreatedBy, UpdatedBy: doc.UpdatedBy}
	if err := json.Unmarshal(doc.Properties, &res.Properties); err != nil {
		return res, fmt.Errorf("decoding the document of %s: %w", doc.ID, err)
	}
	return res, nil
}

func encode[P any](res arm.Resource[P]) (Document, error) {
	properties, err := json.Marshal(res.Properties)
	if err != nil {
		return Document{}, fmt.Errorf("encoding the document of %s: %w", res.ID, err)
	}
	doc := Document{ID: res.ID, Location: res.Location, Tags: res.Tags, SKU: res.SKU, Identity: res.Identity, Properties: properties,
		Created: res.Created, Updated: res.Updated, CreatedBy: res.CreatedBy, UpdatedBy: res.UpdatedBy}
	doc.ETag, err = etag(doc)
	return doc, err
}

// etag is a hash of the document, time of change included: equal content written
// twice is two states.
func etag(doc Document) (string, error) {
	p, err := json.Marshal(doc)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(p)
	return `"` + hex.EncodeToString(sum[:12]) + `"`, nil
}
