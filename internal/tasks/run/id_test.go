package run

import "testing"

// The samples of run-semantics 1.1.
func TestFormatID(t *testing.T) {
	for n, want := range map[int64]string{1: "cf1", 9: "cf9", 10: "cfa", 34: "cfy", 35: "cf10", 44: "cf19", 51: "cf1g", 74: "cf24", 80: "cf2a", 1225: "cf100"} {
		if got := formatID("cf", n); got != want {
			t.Errorf("run %d is %s, want %s", n, got, want)
		}
	}
}

func TestNewPrefix(t *testing.T) {
	for range 100 {
		p := newPrefix()
		if len(p) != 2 || p[0] < 'a' || p[0] > 'z' || p[1] < 'a' || p[1] > 'z' {
			t.Fatalf("the prefix is %q", p)
		}
	}
}
