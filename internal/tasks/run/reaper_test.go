package run

import (
	"testing"
	"time"
)

func TestInterrupted(t *testing.T) {
	for _, test := range []struct {
		what          string
		passed, shown time.Duration
		want          bool
	}{
		{"a look in time", reapEvery, reapEvery, false},
		{"a machine with much to do", 3 * reapEvery, 3 * reapEvery, false},
		{"a clock that is corrected", reapEvery, reapEvery - time.Second, false},
		{"a stopped process", time.Minute, time.Minute, true},
		{"a suspended machine, whose time does not pass", reapEvery, time.Hour, true},
		{"a clock that is set forward", reapEvery, time.Hour + reapEvery, true},
		{"a clock that is set back", reapEvery, reapEvery - time.Hour, true},
	} {
		if got := interrupted(test.passed, test.shown); got != test.want {
			t.Errorf("%s: %v", test.what, got)
		}
	}
}
