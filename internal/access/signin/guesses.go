package signin

import (
	"net"
	"net/netip"
	"strings"
	"time"
)

// Guesses slows down who tries passwords that programs made: those of admin users, of
// repository-scoped tokens and of service principals. They are 256 random bits, so what
// matters is not that one is found; it is the work, and that an attack is seen. An account
// is therefore closed only to the address that tried, and nobody locks out another, and a
// right password takes up no try however many clients sign in at once. It is safe for
// concurrent use.
type Guesses struct {
	accounts  Limit // wrong passwords for one account from one address
	addresses Limit // wrong passwords from one address
}

// NewGuesses returns a count of wrong passwords in this process.
func NewGuesses() *Guesses {
	return &Guesses{accounts: Limit{Times: 100, Every: 10 * time.Second}, addresses: Limit{Times: 1000, Every: time.Second}}
}

// GuessAgain is how long who is closed out waits for the next try.
const GuessAgain = 10 * time.Second

// Closed reports whether an address has tried too many wrong passwords of the account, or
// of all accounts.
func (g *Guesses) Closed(account, address string, now time.Time) bool {
	return !g.accounts.left(guessKey(account, address), now) || !g.addresses.left(address, now)
}

// Wrong counts a wrong password.
func (g *Guesses) Wrong(account, address string, now time.Time) {
	g.accounts.Take(guessKey(account, address), now)
	g.addresses.Take(address, now)
}

// maxAccount bounds what of an account's name is remembered, in bytes: clients choose it.
const maxAccount = 128

func guessKey(account, address string) string {
	return address + " " + strings.ToLower(account[:min(len(account), maxAccount)])
}

// Address is what of a remote address, HOST:PORT, tries are counted under: of an IPv6
// address the half that a provider gives to one customer.
func Address(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Unmap().Is4() {
		return host
	}
	prefix, _ := addr.WithZone("").Prefix(64) // 64 fits every IPv6 address
	return prefix.String()
}
