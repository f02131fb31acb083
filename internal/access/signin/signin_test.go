package signin

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// There are so many tries at once, then one in each interval, and one that was none is
// given back.
func TestLimit(t *testing.T) {
	l := &Limit{Times: 3, Every: time.Minute}
	now := time.Unix(1000, 0)
	take := func(key string, want int) {
		t.Helper()
		got := 0
		for l.Take(key, now) {
			got++
		}
		if got != want {
			t.Errorf("%s at %v: %d tries, want %d", key, now, got, want)
		}
	}
	take("a", 3)
	take("b", 3)
	now = now.Add(time.Minute)
	take("a", 1)
	now = now.Add(time.Hour)
	take("a", 3)
	l.Return("a")
	take("a", 1)
	l.Return("nobody")
	if (&Limit{}).Take("a", now) {
		t.Error("a limit of nothing let something through")
	}
}

// What a limit remembers is bounded, and what it forgets is what matters least.
func TestLimitForgets(t *testing.T) {
	l := &Limit{Times: 2, Every: time.Minute}
	now := time.Unix(1000, 0)
	l.Take("used up", now)
	l.Take("used up", now)
	for i := range maxKeys + 100 {
		l.Take(fmt.Sprint(i), now)
	}
	if len(l.full) > maxKeys {
		t.Errorf("%d keys are kept", len(l.full))
	}
	if l.Take("used up", now) {
		t.Error("a key that was used up has been forgotten")
	}
}

// A code that was typed is a code or nothing, and a code is typed in many ways.
func FuzzUserCode(f *testing.F) {
	for _, seed := range []string{"", "BCDF-GHJK", "bcdf ghjk", "AEIOU", "BCDFGHJKL", "ß\x00BCDFGHJK"} {
		f.Add(seed)
	}
	form := regexp.MustCompile(`^[` + letters + `]{4}-[` + letters + `]{4}$`)
	f.Fuzz(func(t *testing.T, typed string) {
		code := normalUserCode(typed)
		if code != "" && (!form.MatchString(code) || normalUserCode(code) != code) {
			t.Errorf("%q became %q", typed, code)
		}
		made := newUserCode()
		if !form.MatchString(made) || normalUserCode(strings.ToLower(" "+strings.Replace(made, "-", " ", 1))) != made {
			t.Errorf("%q is not read back", made)
		}
	})
}
