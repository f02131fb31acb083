package cli

import (
	"net/http"
	"testing"
	"time"
)

// A clock that is far from the server's is told, whichever goes wrong.
func TestClock(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	for name, test := range map[string]struct {
		date string
		good bool
	}{
		"right":                {now.Format(http.TimeFormat), true},
		"slow by four minutes": {now.Add(4 * time.Minute).Format(http.TimeFormat), true},
		"slow by an hour":      {now.Add(time.Hour).Format(http.TimeFormat), false},
		"fast by an hour":      {now.Add(-time.Hour).Format(http.TimeFormat), false},
		"of another day":       {now.AddDate(0, 0, 1).Format(http.TimeFormat), false},
		"unknown":              {"", true},
	} {
		if said, err := checkClock(test.date, now); (err == nil) != test.good {
			t.Errorf("%s: %q, %v", name, said, err)
		}
	}
}
