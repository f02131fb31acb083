//go:build linux && cgo

package embedded

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// failing takes nothing.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }

// Each stream comes to its own writer, whole, and what a writer does not take holds up
// nobody.
func TestStreams(t *testing.T) {
	var stdout, stderr bytes.Buffer
	s, err := newStreams(&stdout, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 1<<20) // more than a pipe holds
	for _, text := range []string{"one ", long} {
		if _, err := s.stdout.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if _, err := s.stderr.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if stdout.String() != "one "+long || stderr.String() != "one "+long {
		t.Errorf("%d and %d bytes came", stdout.Len(), stderr.Len())
	}
	stderr.Reset()
	if s, err = newStreams(failing{}, &stderr); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := s.stdout.WriteString(long[:64<<10]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.stderr.WriteString("said"); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err == nil || stderr.String() != "said" {
		t.Errorf("%v, and %q came", err, stderr.String())
	}
}
