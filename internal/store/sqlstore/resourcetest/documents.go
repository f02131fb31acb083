package resourcetest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/registry"
)

func roundTrip(t *testing.T, s Stores) {
	want := document(taskA, nil)
	must(t, s.Documents.Put(t.Context(), want))
	got, err := s.Documents.Get(t.Context(), taskA)
	must(t, err)
	same(t, got, want)
}

func missing(t *testing.T, s Stores) {
	_, err := s.Documents.Get(t.Context(), taskA)
	is(t, err, resource.ErrNotFound)
	_, err = s.Documents.Lookup(t.Context(), registry.Kind, "registry", "reg")
	is(t, err, resource.ErrNotFound)
	is(t, s.Documents.Delete(t.Context(), taskA), resource.ErrNotFound)
	same(t, list(t, s, group, arm.Kind{}), []string{})
}

func replaces(t *testing.T, s Stores) {
	plant(t, s, taskA)
	next := document(taskA, nil)
	next.Properties, next.ETag, next.Identity, next.Tags = json.RawMessage(`{}`), `"f"`, nil, nil
	must(t, s.Documents.Put(t.Context(), next))
	got, err := s.Documents.Get(t.Context(), taskA)
	must(t, err)
	same(t, got, next)
	same(t, list(t, s, group, arm.Kind{}), []string{taskA.String()})
}

func casing(t *testing.T, s Stores) {
	plant(t, s, group, registryA, taskA)
	shouted, err := arm.ParseID(strings.ToUpper(taskA.String()))
	must(t, err)
	got, err := s.Documents.Get(t.Context(), shouted)
	must(t, err)
	same(t, got.ID.String(), taskA.String())
	same(t, list(t, s, shouted.Parent(), arm.NewKind("MICROSOFT.CONTAINERREGISTRY/REGISTRIES/TASKS")), []string{taskA.String()})
	must(t, s.Documents.Delete(t.Context(), shouted))
	_, err = s.Documents.Get(t.Context(), taskA)
	is(t, err, resource.ErrNotFound)
}

func order(t *testing.T, s Stores) {
	plant(t, s, registryB, taskA, other, registryA, group, taskB)
	want := []string{group.String(), registryA.String(), taskA.String(), registryB.String(), taskB.String(), other.String()}
	same(t, list(t, s, arm.ID{}, arm.Kind{}), want)
	same(t, list(t, s, arm.SubscriptionID("5UB"), arm.Kind{}), want)
	same(t, list(t, s, group, arm.Kind{}), want[1:5])
}

func kinds(t *testing.T, s Stores) {
	plant(t, s, group, registryA, taskA, registryB, taskB)
	same(t, list(t, s, group, registry.Kind), []string{registryA.String(), registryB.String()})
	same(t, list(t, s, arm.ID{}, resource.Groups), []string{group.String()})
	same(t, list(t, s, registryA, taskKind), []string{taskA.String()})
	same(t, list(t, s, registryA, registry.Kind), []string{})
}

func prefixes(t *testing.T, s Stores) {
	plant(t, s, group, other, registryA, registryB, taskA, taskB, other.In(registry.Kind, "Reg3"))
	same(t, list(t, s, registryA, arm.Kind{}), []string{taskA.String()})
	same(t, list(t, s, group, registry.Kind), []string{registryA.String(), registryB.String()})
}

func lookup(t *testing.T, s Stores) {
	plant(t, s, registryA, registryB)
	got, err := s.Documents.Lookup(t.Context(), registry.Kind, "registry", "rEG2")
	must(t, err)
	same(t, got.ID.String(), registryB.String())
	_, err = s.Documents.Lookup(t.Context(), taskKind, "registry", "reg2")
	is(t, err, resource.ErrNotFound)
	_, err = s.Documents.Lookup(t.Context(), registry.Kind, "name", "reg2")
	is(t, err, resource.ErrNotFound)
}

func duplicate(t *testing.T, s Stores) {
	plant(t, s, registryA)
	twin := other.In(registry.Kind, "reg")
	is(t, s.Documents.Put(t.Context(), document(twin, map[string]string{"registry": "REG"})), resource.ErrDuplicate)
	_, err := s.Documents.Get(t.Context(), twin)
	is(t, err, resource.ErrNotFound)
	must(t, s.Documents.Put(t.Context(), document(taskB, map[string]string{"registry": "reg"}))) // another kind
	must(t, s.Documents.Put(t.Context(), document(registryA, map[string]string{"registry": "reg"})))
}

func freed(t *testing.T, s Stores) {
	plant(t, s, registryA)
	must(t, s.Documents.Put(t.Context(), document(registryA, map[string]string{"registry": "renamed"})))
	twin := other.In(registry.Kind, "reg")
	must(t, s.Documents.Put(t.Context(), document(twin, map[string]string{"registry": "reg"})))
	must(t, s.Documents.Delete(t.Context(), registryA))
	must(t, s.Documents.Put(t.Context(), document(registryB, map[string]string{"registry": "renamed"})))
}

func rollback(t *testing.T, s Stores) {
	plant(t, s, group, registryA)
	failure := errors.New("enough")
	err := s.Documents.InTx(t.Context(), func(ctx context.Context) error {
		must(t, s.Documents.Put(ctx, document(taskA, nil)))
		must(t, s.Documents.Delete(ctx, registryA))
		must(t, s.Documents.Put(ctx, document(registryB, map[string]string{"registry": "reg"})))
		return failure
	})
	is(t, err, failure)
	same(t, list(t, s, arm.ID{}, arm.Kind{}), []string{group.String(), registryA.String()})
	got, err := s.Documents.Lookup(t.Context(), registry.Kind, "registry", "reg")
	must(t, err)
	same(t, got.ID.String(), registryA.String())
}

func nested(t *testing.T, s Stores) {
	failure := errors.New("enough")
	err := s.Documents.InTx(t.Context(), func(ctx context.Context) error {
		must(t, s.Documents.InTx(ctx, func(ctx context.Context) error { return s.Documents.Put(ctx, document(taskA, nil)) }))
		return failure
	})
	is(t, err, failure)
	same(t, list(t, s, arm.ID{}, arm.Kind{}), []string{})
}

func ownWrites(t *testing.T, s Stores) {
	must(t, s.Documents.InTx(t.Context(), func(ctx context.Context) error {
		must(t, s.Documents.Put(ctx, document(taskA, nil)))
		docs, err := s.Documents.List(ctx, resource.Query{})
		must(t, err)
		same(t, names(docs), []string{taskA.String()})
		// Who is not in the transaction sees nothing of it.
		same(t, list(t, s, arm.ID{}, arm.Kind{}), []string{})
		return nil
	}))
	same(t, list(t, s, arm.ID{}, arm.Kind{}), []string{taskA.String()})
}
