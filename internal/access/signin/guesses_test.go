package signin

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Wrong passwords close an account to the address they came from and to nobody else; an
// address that tries many accounts is closed out of all. Time opens both again.
func TestGuesses(t *testing.T) {
	g, now := NewGuesses(), time.Unix(1000, 0)
	try := func(account, address string) (n int) {
		for ; n < 5000 && !g.Closed(account, address, now); n++ {
			g.Wrong(account, address, now)
		}
		return n
	}
	if n := try("reg/ci", "here"); n != g.accounts.Times {
		t.Errorf("%d guesses at an account", n)
	}
	if !g.Closed("REG/CI", "here", now) {
		t.Error("the name in capitals is another account")
	}
	if g.Closed("reg/ci", "there", now) || g.Closed("reg/other", "here", now) {
		t.Error("somebody else was locked out")
	}
	n := 0
	for ; n < 5000 && !g.Closed(fmt.Sprint("reg/", n), "wide", now); n++ {
		g.Wrong(fmt.Sprint("reg/", n), "wide", now)
	}
	if n != g.addresses.Times {
		t.Errorf("%d guesses from an address", n)
	}
	long := strings.Repeat("a", 64<<10)
	g.Wrong(long, "here", now)
	for key := range g.accounts.full {
		if len(key) > maxAccount+len("here ") {
			t.Errorf("%d bytes of a name are remembered", len(key))
		}
	}
	now = now.Add(GuessAgain)
	if n := try("reg/ci", "here"); n != 1 {
		t.Errorf("%d guesses after a while", n)
	}
}
