package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/crypto/argon2"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/secret"
)

// userName is name@domain.
var userName = regexp.MustCompile(`^[a-z0-9._'+-]{1,64}@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// NewUser makes a user who signs in with a name and a password; ErrExists if the name is
// taken.
func (d *Directory) NewUser(ctx context.Context, u Principal, password secret.String) (Principal, error) {
	u, err := asUser(u)
	if err != nil {
		return u, err
	}
	if err := CheckPassword(u.UserName, password); err != nil {
		return u, err
	}
	hash, err := hashPassword(ctx, password)
	if err != nil {
		return u, err
	}
	return u, d.InTx(ctx, func(ctx context.Context) error {
		if err := d.PutPrincipal(ctx, u); err != nil {
			return err
		}
		return d.SetPasswordHash(ctx, u.ObjectID, hash)
	})
}

// NewGuest makes a user who has no password yet, so that none is right; ErrExists if the
// name is taken.
func (d *Directory) NewGuest(ctx context.Context, u Principal) (Principal, error) {
	u, err := asUser(u)
	if err != nil {
		return u, err
	}
	return u, d.PutPrincipal(ctx, u)
}

// asUser gives a new user what all of them have.
func asUser(u Principal) (Principal, error) {
	u.UserName = strings.ToLower(u.UserName)
	if !userName.MatchString(u.UserName) || len(u.UserName) > 113 {
		return u, problem.New(problem.Invalid, "Request_BadRequest",
			"The user name '%s' is not of the form name@domain.", u.UserName).On("userPrincipalName")
	}
	u.ObjectID, u.ClientID, u.Kind = ObjectID(uuid.NewString()), "", User
	return u, nil
}

// SetPassword changes a user's password; what is signed in has to do so again.
func (d *Directory) SetPassword(ctx context.Context, u Principal, password secret.String) error {
	if err := CheckPassword(u.UserName, password); err != nil {
		return err
	}
	hash, err := hashPassword(ctx, password)
	if err != nil {
		return err
	}
	return d.SetPasswordHash(ctx, u.ObjectID, hash)
}

// AuthenticateUser returns the user with this name and password; ErrWrongSecret if there
// is none, and it takes the same time to find out. Who calls it bounds how often.
func (d *Directory) AuthenticateUser(ctx context.Context, name string, password secret.String) (Principal, error) {
	p, err := d.PrincipalByUserName(ctx, name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Principal{}, err
	}
	hash := ""
	if err == nil {
		if hash, err = d.PasswordHash(ctx, p.ObjectID); err != nil {
			return Principal{}, err
		}
	}
	if hash == "" { // who has none yet is not told from who is not there
		hash = nobody
	}
	ok, err := verifyPassword(ctx, hash, password)
	switch {
	case err != nil:
		return Principal{}, err
	case !ok || p.ObjectID == "":
		return Principal{}, ErrWrongSecret
	case p.Disabled:
		return Principal{}, ErrDisabled
	}
	return p, nil
}

// Lengths of passwords, in characters and in bytes.
const (
	minPassword = 8
	maxPassword = 256
)

// CheckPassword says what is wrong with a password for the user of a name, if anything is.
func CheckPassword(name string, password secret.String) error {
	text := password.Reveal()
	local, _, _ := strings.Cut(name, "@")
	bad := func(why string) error {
		return problem.New(problem.Invalid, "Request_BadRequest", "The specified password does not comply with password complexity requirements: it %s.", why).On("passwordProfile")
	}
	switch {
	case utf8.RuneCountInString(text) < minPassword:
		return bad(fmt.Sprintf("must have %d characters or more", minPassword))
	case len(text) > maxPassword:
		return bad(fmt.Sprintf("must have at most %d bytes", maxPassword))
	case len(local) > 2 && strings.Contains(strings.ToLower(text), local):
		return bad("must not contain the user name")
	}
	return nil
}

// People choose passwords, so the hash is slow: argon2id (RFC 9106) with parameters the
// OWASP recommends for 19 MiB.
const (
	argonTime    = 2
	argonMemory  = 19 << 10 // KiB
	argonThreads = 1
	argonKey     = 32
)

// hashing bounds how many hashes are computed at once in this process: so many times
// argonMemory is what attempts to sign in can make it use, however many there are.
var hashing = make(chan struct{}, 2)

func argon(ctx context.Context, salt []byte, password secret.String) ([]byte, error) {
	select {
	case hashing <- struct{}{}:
		defer func() { <-hashing }()
		return argon2.IDKey([]byte(password.Reveal()), salt, argonTime, argonMemory, argonThreads, argonKey), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// scheme begins every hash, so that the parameters can change one day.
const scheme = "argon2id:19456:2:1:"

func hashPassword(ctx context.Context, password secret.String) (string, error) {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	key, err := argon(ctx, salt, password)
	encode := base64.RawStdEncoding.EncodeToString
	return scheme + encode(salt) + ":" + encode(key), err
}

// nobody is the hash that is compared for users who do not exist.
const nobody = scheme + "AAAAAAAAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// verifyPassword compares a password with a hash. Without a hash no password is right.
func verifyPassword(ctx context.Context, hash string, password secret.String) (bool, error) {
	rest, ok := strings.CutPrefix(hash, scheme)
	text, wantText, cut := strings.Cut(rest, ":")
	salt, errSalt := base64.RawStdEncoding.DecodeString(text)
	want, errWant := base64.RawStdEncoding.DecodeString(wantText)
	if !ok || !cut || errors.Join(errSalt, errWant) != nil || len(password.Reveal()) > maxPassword {
		return false, nil
	}
	got, err := argon(ctx, salt, password)
	return err == nil && hash != nobody && subtle.ConstantTimeCompare(got, want) == 1, err
}
