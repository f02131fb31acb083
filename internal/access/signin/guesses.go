package signin

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
)

// Guesses slows down who tries passwords. There is one for all doors of an installation:
// what was tried at the login host counts at a registry. Accounts are closed to the address
// that tried, and people's as well to everybody whom nobody knows yet, since their
// passwords could be guessed from many addresses. One address cannot use up what strangers
// have together, and who signed in from an address before has tries of his own there; so
// nobody locks an account for all. It is safe for concurrent use.
type Guesses struct {
	programs  Limit // wrong secrets of one program from one address
	people    Limit // tries at one person's password, or at codes, from one address
	strangers Limit // tries at one person's password from all addresses that are not known
	addresses Limit // costs of what was wrong from one address, unless it is known there

	mu    sync.Mutex
	known map[string][]visit // by account, the latest last
}

// NewGuesses returns the counts of this process. They begin anew with it.
func NewGuesses() *Guesses {
	return &Guesses{
		programs:  Limit{Times: 100, Every: GuessAgain},
		people:    Limit{Times: 10, Every: 2 * time.Minute},
		strangers: Limit{Times: 40, Every: 30 * time.Second}, // faster than one address has tries again
		addresses: Limit{Times: 1000, Every: time.Second},
		known:     map[string][]visit{},
	}
}

// GuessAgain is how long a program that is closed out waits for the next try.
const GuessAgain = 10 * time.Second

// Account is what is guessed at.
type Account struct {
	name string
	sort sort
}

// sort is how an account's secret came to be.
type sort int

const (
	program sort = iota // a secret that was made: nobody finds it, so that only wrong ones count
	bearer              // such a secret that is a name as well
	code                // made, but short
	person              // chosen by a person
)

// costs are those of a wrong secret to its address.
var costs = map[sort]int{program: 1, bearer: 1, code: 10, person: 10}

// Person is a user by the name he signs in with.
func Person(name string) Account { return Account{"user " + hash(strings.ToLower(name)), person} }

// Program is an application or managed identity. Its secret is the same at all doors.
func Program(id identity.ClientID) Account {
	return Account{"app " + hash(strings.ToLower(string(id))), program}
}

// InRegistry is the admin user, or a repository-scoped token, of a registry.
func InRegistry(registry, user string) Account {
	return Account{"in " + hash(strings.ToLower(registry+"/"+user)), program}
}

// UserCode is the code of a device, which its user types: whichever he means.
func UserCode() Account { return Account{"code", code} }

// Bearer is a refresh token or the code a device asks with, which are nobody's until they
// are found.
func Bearer() Account { return Account{"bearer", bearer} }

// visit is where somebody signed in from.
type visit struct {
	address string
	last    time.Time
}

// How much of those who signed in is remembered.
const (
	knownFor       = RefreshTTL
	knownAddresses = 20 // of an account
)

// Attempt is one try at an account's secret, whose outcome its owner tells once.
type Attempt struct {
	guesses *Guesses
	account Account
	address string
	now     time.Time
	known   bool
}

// Try begins an attempt from an address; false if the account is closed to it. Tries at
// what people choose count while they last, so that many at once are no way around.
func (g *Guesses) Try(account Account, address string, now time.Time) (Attempt, bool) {
	a := Attempt{guesses: g, account: account, address: address, now: now, known: g.knows(account, address, now)}
	switch {
	case !a.known && !g.addresses.left(address, costs[account.sort], now):
		return a, false
	case account.sort == program:
		return a, g.programs.left(a.pair(), 1, now)
	case account.sort == bearer:
		return a, true
	case !g.people.Take(a.pair(), now):
		return a, false
	case account.sort == person && !a.known && !g.strangers.Take(account.name, now):
		g.people.Return(a.pair())
		return a, false
	}
	a.charge()
	return a, true
}

func (a Attempt) pair() string { return a.address + " " + a.account.name }

func (a Attempt) charge() {
	if !a.known {
		a.guesses.addresses.take(a.address, costs[a.account.sort], a.now)
	}
}

// Wrong says that it was not the secret.
func (a Attempt) Wrong() {
	switch a.account.sort {
	case program:
		a.guesses.programs.Take(a.pair(), a.now)
		a.charge()
	case bearer:
		a.charge()
	}
}

// Neither says that nobody learned whether it was the secret, or that it is of no use.
func (a Attempt) Neither() {
	if a.account.sort != code && a.account.sort != person {
		return
	}
	a.guesses.people.Return(a.pair())
	if a.known {
		return
	}
	a.guesses.addresses.giveBack(a.address, costs[a.account.sort])
	if a.account.sort == person {
		a.guesses.strangers.Return(a.account.name)
	}
}

// Right says that it was the secret, so that the address is known from now on.
func (a Attempt) Right() {
	a.Neither()
	if a.account.sort == person || a.account.sort == program {
		a.guesses.remember(a.account.name, a.address, a.now)
	}
}

func (g *Guesses) knows(account Account, address string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.known[account.name], func(v visit) bool {
		return v.address == address && now.Sub(v.last) < knownFor
	})
}

// remember keeps the latest addresses of an account, so that who has one account cannot
// have those of others forgotten.
func (g *Guesses) remember(account, address string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := slices.DeleteFunc(g.known[account], func(v visit) bool { return v.address == address })
	if len(all) >= knownAddresses {
		all = slices.Delete(all, 0, 1)
	}
	g.known[account] = append(all, visit{address, now})
	if len(g.known) <= maxKeys {
		return
	}
	oldest := account
	for name, visits := range g.known {
		if visits[len(visits)-1].last.Before(g.known[oldest][len(g.known[oldest])-1].last) {
			oldest = name
		}
	}
	delete(g.known, oldest)
}
