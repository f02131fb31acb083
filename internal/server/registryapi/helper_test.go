package registryapi_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/server/servertest"
	leases "github.com/acrux/acrux/internal/tasks/lease"
)

func equal(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func asJSON(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// lease starts the queued run, and returns a function that ends it.
func lease(t *testing.T, w *servertest.World) (end func()) {
	t.Helper()
	l, err := w.Runs.Acquire(t.Context(), leases.Agent{Name: "test", OS: "linux", Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := w.Runs.Complete(t.Context(), l.Key, leases.Result{Status: leases.Succeeded}); err != nil {
			t.Fatal(err)
		}
	}
}
