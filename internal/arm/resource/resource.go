// Package resource keeps the resources of the control plane: JSON documents by
// arm.ID, behind typed collections.
//
// A resource type is a Go type P for its properties, a Kind and a Provider[P]. Most
// providers embed a *Collection[P], which does everything that is the same for all
// types (parents must exist, locations are inherited, ETags, alternate keys), and
// override what their own rules concern.
//
// Documents hold no secrets. A secret of a resource is a sealed row of its own,
// keyed by the resource's ID and a name; it goes when the resource goes.
package resource

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/acrux/acrux/internal/arm"
)

// ErrNotFound says that a store has no such document.
var ErrNotFound = errors.New("no such document")

// ErrDuplicate says that an alternate key belongs to another document.
var ErrDuplicate = errors.New("the key belongs to another document")

// Document is a resource as stored.
type Document struct {
	ID         arm.ID
	Kind       arm.Kind
	Location   string
	Tags       map[string]string
	SKU        *arm.SKU
	Identity   *arm.Identity
	Properties json.RawMessage
	ETag       string
	Created    time.Time
	Updated    time.Time
	CreatedBy  string
	UpdatedBy  string
	// Keys are other names of the document, each unique among its kind.
	Keys map[string]string
}

// Store keeps documents. Its methods take part in the transaction that ctx carries,
// if it carries one.
type Store interface {
	Transactor
	// Get returns the document of id, or ErrNotFound.
	Get(ctx context.Context, id arm.ID) (Document, error)
	// Lookup returns the document of the kind that has the key, or ErrNotFound.
	Lookup(ctx context.Context, kind arm.Kind, key, value string) (Document, error)
	// List returns the documents that the query selects, in the order of their keys. The
	// time it takes depends on how many it returns, not on how many there are.
	List(ctx context.Context, q Query) ([]Document, error)
	// Count returns how many documents of the kind have parent as their parent. It is
	// kept, not counted.
	Count(ctx context.Context, parent arm.ID, kind arm.Kind) (int64, error)
	// Tags returns all tags, of up to n names after one, in the order of the names in lower
	// case and of the values. How many documents have a tag is kept, not counted.
	Tags(ctx context.Context, after string, n int) ([]TagCount, error)
	// Put writes a document, new or not; ErrDuplicate if a key is taken.
	Put(ctx context.Context, doc Document) error
	// Delete removes the document and everything that hangs on it: documents,
	// secrets, principals, role assignments, repositories and runs at or below id.
	// ErrNotFound if there was none.
	Delete(ctx context.Context, id arm.ID) error
}

// TagCount is a tag, and how many documents have it. The name is as one of them spells it.
type TagCount struct {
	Name, Value string
	N           int64
}

// Transactor runs functions in transactions. The context that fn is given carries
// the transaction to every store. fn does no I/O of its own and may be called in a
// goroutine that serves others too: it must be quick.
type Transactor interface {
	InTx(ctx context.Context, fn func(context.Context) error) error
}

// Provider serves one resource type. All methods may be called concurrently, with
// a caller that is already authorised.
type Provider[P any] interface {
	Get(ctx context.Context, id arm.ID) (arm.Resource[P], error)
	// List returns the resources of the type that the query selects, whose kind need not be
	// set. One that is short of N is the last: a provider that leaves something out of what
	// is stored reads on.
	List(ctx context.Context, q Query) ([]arm.Resource[P], error)
	// Put creates or replaces; created tells which.
	Put(ctx context.Context, put Put[P]) (res arm.Resource[P], created bool, err error)
	// Delete removes; existed is false if there was nothing to remove.
	Delete(ctx context.Context, id arm.ID) (existed bool, err error)
}

// Put is a request to create or replace a resource.
type Put[P any] struct {
	ID         arm.ID
	Location   string
	Tags       map[string]string
	SKU        *arm.SKU
	Identity   *arm.IdentityChange // nil: the request says nothing about it
	Properties P
	IfMatch    string // ETag the resource must still have; empty: any
	IfAbsent   bool   // the resource must not be there yet
	Caller     string // object ID of who asks
	Now        time.Time
}
