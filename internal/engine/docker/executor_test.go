package docker

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/arm/problem"
)

// Whoever names an engine that will not do is told why.
func TestOpenSaysWhatIsMissing(t *testing.T) {
	for host, want := range map[string]string{
		"tcp://192.0.2.1:2375":                            "does not see the directories",
		"ssh://user@example.invalid":                      "does not see the directories",
		"/var/run/docker.sock":                            "does not see the directories",
		"unix://" + filepath.Join(t.TempDir(), "no.sock"): "cannot be reached",
	} {
		e, err := Open(t.Context(), Options{Root: t.TempDir(), Host: host})
		if err == nil {
			e.Close()
			t.Errorf("%s: it was opened", host)
			continue
		}
		var told *problem.Error
		if !errors.As(err, &told) || !strings.Contains(told.Message, want) || len(told.Hints) == 0 {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestAtLeast(t *testing.T) {
	for version, want := range map[string]bool{"1.40": false, "1.41": true, "1.56": true, "2.0": true, "": false, "x": false} {
		if got := atLeast(version, 1, 41); got != want {
			t.Errorf("%q: %v", version, got)
		}
	}
}

// A message of the engine does not show what it calls the things of a run.
func TestHuman(t *testing.T) {
	n := names{"abc", "Run-1"}
	in := `The container name "/acrux.abc.Run-1.server" and network acrux.abc.Run-1.network.net`
	if got := n.human(in); got != `The container name "/server" and network net` {
		t.Error(got)
	}
}
