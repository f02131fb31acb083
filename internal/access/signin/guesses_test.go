package signin

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var noon = time.Unix(1000, 0)

// guess tries wrong secrets until the account is closed to the address, and counts them.
func guess(g *Guesses, account Account, address string, now time.Time) (n int) {
	for ; n < 5000; n++ {
		try, ok := g.Try(account, address, now)
		if !ok {
			return n
		}
		try.Wrong()
	}
	return n
}

func open(g *Guesses, account Account, address string, now time.Time) bool {
	try, ok := g.Try(account, address, now)
	if ok {
		try.Neither()
	}
	return ok
}

// Wrong secrets close a program's account to the address they came from and to nobody
// else; time opens it again.
func TestGuessesAtPrograms(t *testing.T) {
	g, now := NewGuesses(), noon
	if n := guess(g, InRegistry("reg", "ci"), "here", now); n != g.programs.Times {
		t.Errorf("%d guesses at an account", n)
	}
	if open(g, InRegistry("REG", "CI"), "here", now) {
		t.Error("the name in capitals is another account")
	}
	if !open(g, InRegistry("reg", "ci"), "there", now) || !open(g, InRegistry("reg", "other"), "here", now) {
		t.Error("somebody else was locked out")
	}
	now = now.Add(GuessAgain)
	if n := guess(g, InRegistry("reg", "ci"), "here", now); n != 1 {
		t.Errorf("%d guesses after a while", n)
	}
}

// An address that tries many accounts, of whatever sort, is closed out of all.
func TestGuessesFromOneAddress(t *testing.T) {
	g, n := NewGuesses(), 0
	for ; n < 5000 && open(g, Program("somebody"), "here", noon); n++ {
		account := []Account{Program("app"), InRegistry("reg", fmt.Sprint(n)), Bearer(), Person(fmt.Sprint(n))}[n%4]
		if try, ok := g.Try(account, "here", noon); ok {
			try.Wrong()
		}
	}
	if n > g.addresses.Times {
		t.Errorf("%d guesses", n)
	}
	for name, account := range map[string]Account{"bearer": Bearer(), "person": Person("x"), "code": UserCode()} {
		if open(g, account, "here", noon) {
			t.Errorf("%s: the address is not closed", name)
		}
	}
	if !open(g, Program("somebody"), "there", noon) {
		t.Error("another address was closed")
	}
}

// One stranger does not lock a person out, not even where nobody knows him, however long he
// goes on; many do, and not where he signed in before.
func TestStrangers(t *testing.T) {
	g, now := NewGuesses(), noon
	sign := func(address string) bool { return open(g, Person("Anna"), address, now) }
	try, _ := g.Try(Person("anna"), "office", now)
	try.Right()
	for range 1000 {
		guess(g, Person("anna"), "stranger", now)
		if now = now.Add(time.Minute); !sign(fmt.Sprint("train ", now)) {
			t.Fatal("one stranger has locked the account")
		}
	}
	total := 0
	for i := range 100 {
		total += guess(g, Person("anna"), fmt.Sprint("stranger ", i), now)
	}
	if total > g.strangers.Times {
		t.Errorf("%d guesses of strangers", total)
	}
	if sign("nowhere") {
		t.Error("strangers have tries without end")
	}
	if !sign("office") {
		t.Error("who signed in from here before is locked out")
	}
	if n := guess(g, Person("anna"), "office", now); n != g.people.Times {
		t.Errorf("%d guesses from where she signed in before", n)
	}
}

// Tries at a person's password count before they end, and right ones are given back.
func TestGuessesAtOnce(t *testing.T) {
	g, n := NewGuesses(), 0
	for range 1000 {
		if _, ok := g.Try(Person("anna"), "here", noon); ok {
			n++
		}
	}
	if n != g.people.Times {
		t.Errorf("%d tries at once", n)
	}
	for _, account := range []Account{Person("bert"), Program("app"), Bearer(), UserCode()} {
		for range 2000 {
			try, ok := g.Try(account, "home", noon)
			if !ok {
				t.Fatalf("%v: right secrets were counted", account)
			}
			try.Right()
		}
	}
}

// What is remembered is bounded, whatever clients call themselves.
func TestGuessesForget(t *testing.T) {
	g := NewGuesses()
	long := Program("x")
	for i := range maxKeys + 100 {
		try, _ := g.Try(InRegistry("reg", strings.Repeat("a", i)), "here", noon)
		try.Right()
		try, _ = g.Try(long, fmt.Sprint(i), noon)
		try.Right()
	}
	if len(g.known) > maxKeys || len(g.known[long.name]) > knownAddresses {
		t.Errorf("%d accounts, %d addresses of one are known", len(g.known), len(g.known[long.name]))
	}
	for name := range g.known {
		if len(name) > 80 {
			t.Fatalf("%d bytes of a name are remembered", len(name))
		}
	}
}
