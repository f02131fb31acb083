package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
)

// What everybody notices is said once, with its cause, and then how many more did; what
// else is said is said each time.
func TestOutagesAreSaidOnce(t *testing.T) {
	var out bytes.Buffer
	log := newSparing(slog.New(slog.NewTextHandler(&out, nil)))
	away := func(look string) error {
		return fmt.Errorf("listing: %w", problem.NewAway(look, errors.New("connection refused")))
	}
	begun := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	say := func(after time.Duration, message string, err error) string {
		out.Reset()
		r := slog.NewRecord(begun.Add(after), slog.LevelError, message, 0)
		r.AddAttrs(slog.String("id", "1"), slog.Any("err", err))
		if err := log.With("server", "a").Handler().Handle(context.Background(), r); err != nil {
			t.Error(err)
		}
		return out.String()
	}
	if said := say(0, "request failed", away("pg_isready")); !strings.Contains(said, "more=0") {
		t.Errorf("at first it is said: %s", said)
	}
	for range 5 {
		if said := say(time.Second, "request failed", away("pg_isready")); said != "" {
			t.Errorf("it is said again: %s", said)
		}
	}
	later := say(time.Minute, "another request failed", away("pg_isready"))
	for _, want := range []string{"another request failed", "connection refused", "hint=pg_isready", "more=5", "id=1", "server=a"} {
		if !strings.Contains(later, want) {
			t.Errorf("%q is not in %s", want, later)
		}
	}
	if say(time.Minute, "x", away("the bucket")) == "" {
		t.Error("nothing is said of another store")
	}
	for range 2 {
		if said := say(time.Minute, "x", errors.New("a fault")); !strings.Contains(said, "a fault") || strings.Contains(said, "hint") {
			t.Errorf("of a fault it is said: %s", said)
		}
	}
}
