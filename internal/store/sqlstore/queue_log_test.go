package sqlstore

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
)

// Faults of the queue are logged, also while the server stops, unless that is what they
// come from.
func TestQueueLog(t *testing.T) {
	var out bytes.Buffer
	var stopping atomic.Bool
	log := slog.New(&warnings{Handler: slog.NewTextHandler(&out, nil), stopping: &stopping}).With("a", "b").WithGroup("g")
	log.Info("one")
	log.Error("two", "err", "begin: context canceled")
	stopping.Store(true)
	log.Error("three", "err", "begin: context canceled")
	log.Error("four", "err", "disk full")
	if text := out.String(); strings.Contains(text, "one") || !strings.Contains(text, "two") || strings.Contains(text, "three") || !strings.Contains(text, "four") {
		t.Error(text)
	}
}
