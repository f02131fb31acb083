package sqlstore

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
)

// Faults of the queue are logged, also while the server stops, unless that is what they
// come from, or that the work was told to end.
func TestQueueLog(t *testing.T) {
	var out bytes.Buffer
	var stopping atomic.Bool
	log := slog.New(&warnings{Handler: slog.NewTextHandler(&out, nil), stopping: &stopping}).With("a", "b").WithGroup("g")
	log.Info("one")
	log.Error("two", "err", "begin: context canceled")
	over, end := context.WithCancel(t.Context())
	end()
	log.ErrorContext(over, "five", "error", "context canceled")
	log.ErrorContext(over, "six", "error", "disk full")
	log.Error("seven", "err", "setting a state: context deadline exceeded")
	stopping.Store(true)
	log.Error("three", "err", "begin: context canceled")
	log.Error("four", "err", "disk full")
	for message, want := range map[string]bool{"one": false, "two": true, "three": false, "four": true, "five": false, "six": true} {
		if got := strings.Contains(out.String(), "msg="+message); got != want {
			t.Errorf("%s is logged: %v, of %s", message, got, out.String())
		}
	}
	if !strings.Contains(out.String(), "level=WARN msg=seven") {
		t.Errorf("what is done again is no warning: %s", out.String())
	}
}
