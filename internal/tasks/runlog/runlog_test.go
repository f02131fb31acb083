package runlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/tasks/runlog"
)

func open(t *testing.T) *runlog.Logs {
	t.Helper()
	l, err := runlog.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func text(t *testing.T, l *runlog.Logs, key runlog.Key) string {
	t.Helper()
	size, _, err := l.Size(key)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := l.Copy(&buf, key, 0, size); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// What the server says before an agent comes stands in front of what the agent writes.
func TestPreface(t *testing.T) {
	l := open(t)
	for _, before := range []string{"waiting\r\n", "for b\r\n", ""} {
		if err := l.Preface(key, before); err != nil {
			t.Fatal(err)
		}
		if got := text(t, l, key); got != before {
			t.Errorf("a log not begun is %q", got)
		}
	}
	if err := errors.Join(l.Preface(key, "waiting\r\n"), l.Append(key, 0, []byte("one")), l.Append(key, 3, []byte(" two"))); err != nil {
		t.Fatal(err)
	}
	const all = "waiting\r\none two"
	for from := range all {
		for to := from; to <= len(all); to++ {
			var buf bytes.Buffer
			if err := l.Copy(&buf, key, int64(from), int64(to-from)); err != nil || buf.String() != all[from:to] {
				t.Fatalf("%d to %d: %q, %v", from, to, buf.String(), err)
			}
		}
	}
	if removed, err := l.Sweep(time.Now().Add(time.Hour), nil); err != nil || removed != 2 || text(t, l, key) != "" {
		t.Errorf("sweeping removed %d files and left %q: %v", removed, text(t, l, key), err)
	}
}

var key = runlog.Key{Registry: "/subscriptions/s/x/Reg", RunID: "CA1"}

func TestAppend(t *testing.T) {
	l := open(t)
	for _, step := range []struct {
		name   string
		offset int64
		text   string
		want   string
		err    error
	}{
		{"a gap at the start", 1, "x", "", runlog.ErrGap},
		{"first", 0, "hello ", "hello ", nil},
		{"again", 0, "hello ", "hello ", nil},
		{"part of it again", 3, "lo ", "hello ", nil},
		{"over the end", 3, "lo world", "hello world", nil},
		{"nothing", 11, "", "hello world", nil},
		{"a gap", 12, "x", "hello world", runlog.ErrGap},
		{"too large", runlog.MaxSize, "x", "hello world", runlog.ErrGap},
	} {
		if err := l.Append(key, step.offset, []byte(step.text)); !errors.Is(err, step.err) {
			t.Errorf("%s: %v", step.name, err)
		}
		if got := text(t, l, key); got != step.want {
			t.Errorf("%s: the log is %q", step.name, got)
		}
	}
	if err := l.AppendLast(key, "!"); err != nil || text(t, l, key) != "hello world!" {
		t.Errorf("the last words: %v", err)
	}
	if err := l.Sync(key); err != nil {
		t.Error(err)
	}
}

func TestNoLog(t *testing.T) {
	l := open(t)
	if size, modified, err := l.Size(key); size != 0 || !modified.IsZero() || err != nil {
		t.Error(size, modified, err)
	}
	if err := errors.Join(l.Sync(key), l.Copy(&bytes.Buffer{}, key, 0, 10)); err != nil {
		t.Error(err)
	}
}

// Keys that differ are logs that differ, whatever is in them; case is no difference.
func TestKeys(t *testing.T) {
	l := open(t)
	keys := []runlog.Key{key, {Registry: "/subscriptions/s/y/Reg", RunID: "CA1"}, {Registry: key.Registry, RunID: "CA2"}, {Registry: "/../../etc/Reg", RunID: "CA1"}}
	for i, k := range keys {
		if err := l.Append(k, 0, fmt.Appendf(nil, "log %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	for i, k := range keys {
		if got := text(t, l, runlog.Key{Registry: strings.ToUpper(k.Registry), RunID: strings.ToLower(k.RunID)}); got != fmt.Sprintf("log %d", i) {
			t.Errorf("%v has %q", k, got)
		}
	}
}

// Who repeats what he is not sure about, from many sides, writes it once.
func TestRepeats(t *testing.T) {
	l := open(t)
	whole := strings.Repeat("0123456789", 500)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for at := 0; at < len(whole); at += 100 {
				if err := l.Append(key, int64(at), []byte(whole[at:at+100])); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if text(t, l, key) != whole {
		t.Error("the log is mixed up")
	}
}

func TestSweep(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	l, err := runlog.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for id, age := range map[string]time.Duration{"old": 31 * 24 * time.Hour, "kept": 31 * 24 * time.Hour, "new": time.Hour} {
		if err := l.Append(runlog.Key{Registry: "/registries/r", RunID: id}, 0, []byte("x")); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*", id+".log"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		if err := os.Chtimes(files[0], now, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := l.Sweep(now.Add(-30*24*time.Hour), []runlog.Key{{Registry: "/Registries/r", RunID: "KEPT"}}); n != 1 || err != nil {
		t.Errorf("%d logs were removed: %v", n, err)
	}
	for id, want := range map[string]int64{"old": 0, "kept": 1, "new": 1} {
		if size, _, err := l.Size(runlog.Key{Registry: "/registries/r", RunID: id}); size != want || err != nil {
			t.Errorf("the %s log has %d bytes: %v", id, size, err)
		}
	}
}
