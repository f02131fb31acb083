package registry_test

import (
	"context"
	"errors"
	"testing"

	"github.com/acrux/acrux/internal/registry"
)

// halting is a store that does not find what a page begins after.
type halting struct {
	registry.Store
	err error
}

func (h halting) Tag(context.Context, registry.Name, string) (registry.Tag, error) {
	return registry.Tag{}, h.err
}

func (h halting) Manifest(context.Context, registry.Name, string) (registry.Manifest, error) {
	return registry.Manifest{}, h.err
}

// A page by time that goes on somewhere is not begun anew when the store fails.
func TestPagesWithAFault(t *testing.T) {
	w := newWorld(t)
	at := name("r", "a")
	d := w.push(at, "1", "layer")
	fault := errors.New("the store is away")
	w.Content.Store = halting{w.Content.Store, fault}
	for _, order := range []registry.Order{registry.TimeAsc, registry.TimeDesc} {
		tags, err := w.Tags(t.Context(), at, registry.TagQuery{Page: registry.Page{Last: "1"}, Order: order})
		if !errors.Is(err, fault) {
			t.Errorf("%v: tags %v, %v", order, tags, err)
		}
		all, err := w.Manifests(t.Context(), at, registry.ManifestQuery{Page: registry.Page{Last: d}, Order: order})
		if !errors.Is(err, fault) {
			t.Errorf("%v: manifests %v, %v", order, all, err)
		}
	}
}
