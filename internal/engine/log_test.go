package engine

import (
	"bytes"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/access/secret"
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
