package engine

import (
	"bytes"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/secret"
)

// Whatever a container writes, the runner's next line begins on a line of its own.
func TestOutputEndsItsLine(t *testing.T) {
	for _, tt := range []struct {
		name   string
		writes []string
		want   string
	}{
		{"nothing", nil, "next\n"},
		{"a line", []string{"a\n"}, "a\nnext\n"},
		{"no end", []string{"a"}, "a\nnext\n"},
		{"a long line without an end", []string{strings.Repeat("x", maxLine+1)}, strings.Repeat("x", maxLine+1) + "\nnext\n"},
		{"a long line with one", []string{strings.Repeat("x", maxLine+1), "y\n"}, strings.Repeat("x", maxLine+1) + "y\nnext\n"},
		{"bytes that are no text", []string{"\x00\xff\xfe"}, "\x00\xff\xfe\nnext\n"},
	} {
		var out bytes.Buffer
		log := NewLog(&out, secret.NewMask())
		o := log.Output()
		for _, text := range tt.writes {
			if n, err := o.Write([]byte(text)); n != len(text) || err != nil {
				t.Errorf("%s: Write gave %d, %v", tt.name, n, err)
			}
		}
		o.Close()
		log.Plain("next")
		if out.String() != tt.want {
			t.Errorf("%s: got %.80q", tt.name, out.String())
		}
	}
}

// A secret that comes in pieces on one stream is hidden whatever the other prints between
// them, in whatever order they come, and what both hold back at the end does not make one.
func TestSecretsOfEachStream(t *testing.T) {
	type piece struct {
		stream int
		text   string
	}
	for name, test := range map[string]struct {
		secret string
		pieces []piece
		want   string
	}{
		"a line between":     {"hunter2", []piece{{1, "pw=hun"}, {2, "warning\n"}, {1, "ter2\n"}}, "pw=warning\n***\n"},
		"the other way":      {"hunter2", []piece{{2, "pw=hun"}, {1, "warning\n"}, {2, "ter2\n"}}, "pw=warning\n***\n"},
		"byte by byte":       {"abcd", []piece{{1, "a"}, {2, "-"}, {1, "b"}, {2, "-"}, {1, "c"}, {2, "-"}, {1, "d\n"}}, "---***\n"},
		"two at once":        {"abcd", []piece{{1, "ab"}, {2, "ab"}, {1, "cd\n"}, {2, "cd\n"}}, "***\n***\n"},
		"halves at the end":  {"abab", []piece{{1, "ab"}, {2, "ab"}}, "ab\nab\n"},
		"one half":           {"abcd", []piece{{1, "x ab"}, {2, "y\n"}}, "x y\nab\n"},
		"nothing of it":      {"abcd", []piece{{1, "one"}, {2, " two"}, {1, " three\n"}}, "one two three\n"},
		"half on the other":  {"abcd", []piece{{1, "ab"}, {2, "cd"}, {1, "\n"}}, "cdab\n"},
		"of the runner's":    {"abcd", []piece{{1, "abcd"}}, "***\n"},
		"in several streams": {"abcd", []piece{{1, "abcd "}, {2, "abcd\n"}}, "*** ***\n"},
	} {
		var out bytes.Buffer
		o := NewLog(&out, secret.NewMask(secret.New(test.secret))).Output()
		found := newFinder(o, test.secret)
		stdout, stderr := Streams(found)
		for _, p := range test.pieces {
			w := stdout
			if p.stream == 2 {
				w = stderr
			}
			if n, err := w.Write([]byte(p.text)); n != len(p.text) || err != nil {
				t.Errorf("%s: Write gave %d, %v", name, n, err)
			}
		}
		o.Close()
		if out.String() != test.want {
			t.Errorf("%s: got %q, want %q", name, out.String(), test.want)
		}
	}
}

// What tells no streams apart is both of them.
func TestOneStream(t *testing.T) {
	var out bytes.Buffer
	if stdout, stderr := Streams(&out); stdout != stderr {
		t.Error("one writer is two streams")
	}
}

// Texts are found in each stream, in pieces as well.
func TestFinder(t *testing.T) {
	var out bytes.Buffer
	f := newFinder(NewLog(&out, secret.NewMask()).Output(), "try again")
	_, stderr := Streams(f)
	for _, text := range []string{"try", " ag"} {
		stderr.Write([]byte(text))
		f.Write([]byte("other"))
	}
	if f.found {
		t.Error("found before it was there")
	}
	stderr.Write([]byte("ain"))
	if !f.found || string(f.tail) != "tryother agotherain" {
		t.Errorf("found %v in %q", f.found, f.tail)
	}
}

func TestOutputHasABound(t *testing.T) {
	var out bytes.Buffer
	log := NewLog(&out, secret.NewMask())
	line := []byte(strings.Repeat("x", 1<<20-1) + "\n")
	for range 2 { // two steps, as much as one may write
		o := log.Output()
		for range maxOutput>>20 - 10 {
			if n, err := o.Write(line); n != len(line) || err != nil {
				t.Fatalf("Write gave %d, %v", n, err)
			}
		}
		o.Close()
	}
	log.Plain("the end")
	if out.Len() > maxOutput+1000 || out.Len() < maxOutput {
		t.Errorf("the log has %d bytes", out.Len())
	}
	if n := strings.Count(out.String(), "is not kept"); n != 1 {
		t.Errorf("it is said %d times that something is missing", n)
	}
	if !strings.HasSuffix(out.String(), "\nthe end\n") {
		t.Error("the runner's own lines are missing")
	}
}
