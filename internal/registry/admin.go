package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/secret"
)

// Credentials are how the admin user of a registry signs in, in clear text: whoever
// may list them is shown them, az-wire section 8.
type Credentials struct {
	Username  string     `json:"username"`
	Passwords []Password `json:"passwords"`
}

// Password is one of the two passwords of an admin user: one is renewed while the
// other is in use.
type Password struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// passwordNames are Azure's names of the two passwords.
var passwordNames = []string{"password", "password2"}

// passwordKey is where a password is kept among the registry's secrets, sealed.
func passwordKey(name string) string { return "admin/" + name }

// NewPassword is 256 random bits as text. The prefix lets scanners for leaked
// secrets find it.
func NewPassword() secret.String {
	p := make([]byte, 32)
	_, _ = rand.Read(p) // never fails (crypto/rand)
	return secret.New("acrux_" + base64.RawURLEncoding.EncodeToString(p))
}

// keepPasswords gives a registry whose admin user was enabled two new passwords, and
// forgets those of one whose admin user was disabled: they never count again. It runs
// in the transaction of the change.
func (r *Registries) keepPasswords(ctx context.Context, old, res *arm.Resource[Properties]) error {
	had, has := old != nil && old.Properties.AdminUserEnabled, res.Properties.AdminUserEnabled
	if had == has {
		return nil
	}
	for _, name := range passwordNames {
		var err error
		if has {
			err = r.Secrets.PutSecret(ctx, res.ID, passwordKey(name), NewPassword())
		} else {
			err = r.Secrets.DeleteSecret(ctx, res.ID, passwordKey(name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Credentials returns how the admin user signs in, if there is one.
func (r *Registries) Credentials(ctx context.Context, id arm.ID) (Credentials, error) {
	reg, err := r.Get(ctx, id)
	if err != nil {
		return Credentials{}, err
	}
	if !reg.Properties.AdminUserEnabled {
		return Credentials{}, problem.New(problem.Invalid, "UnAuthorizedForCredentialOperations", "The admin user of the registry '%s' is disabled: it has no credentials.", reg.ID.Name()).
			Hint("az acr update --name %s --admin-enabled true", reg.ID.Name())
	}
	secrets, err := r.Secrets.Secrets(ctx, reg.ID)
	if err != nil {
		return Credentials{}, err
	}
	c := Credentials{Username: reg.ID.Name()}
	for _, name := range passwordNames {
		c.Passwords = append(c.Passwords, Password{Name: name, Value: secrets[passwordKey(name)].Reveal()})
	}
	return c, nil
}

// RegenerateCredential renews one of the passwords. The old one, and every token it
// was changed for, counts no more when it returns.
func (r *Registries) RegenerateCredential(ctx context.Context, id arm.ID, name string) (Credentials, error) {
	var c Credentials
	known := false
	for _, one := range passwordNames {
		if strings.EqualFold(one, name) {
			name, known = one, true
		}
	}
	if !known {
		return c, problem.New(problem.Invalid, "InvalidParameterValue", "The password name '%s' is neither 'password' nor 'password2'.", name).On("name")
	}
	err := r.Store.InTx(ctx, func(ctx context.Context) error {
		if _, err := r.Credentials(ctx, id); err != nil {
			return err // there is none to renew
		}
		if err := r.Secrets.PutSecret(ctx, id, passwordKey(name), NewPassword()); err != nil {
			return err
		}
		var err error
		c, err = r.Credentials(ctx, id)
		return err
	})
	return c, err
}

// SignIn checks a password of the admin user. It returns a mark of the password that
// tells nothing about it, for AdminHolds to recognise it by; "" if it is wrong.
func (r *Registries) SignIn(ctx context.Context, reg arm.Resource[Properties], password string) (mark string, err error) {
	mark = markOf(password)
	ok, err := r.AdminHolds(ctx, reg, mark)
	if err != nil || !ok {
		return "", err
	}
	return mark, nil
}

// AdminHolds reports whether the mark is of a password that counts now.
func (r *Registries) AdminHolds(ctx context.Context, reg arm.Resource[Properties], mark string) (bool, error) {
	if !reg.Properties.AdminUserEnabled {
		return false, nil
	}
	secrets, err := r.Secrets.Secrets(ctx, reg.ID)
	if err != nil {
		return false, err
	}
	for _, name := range passwordNames {
		if value := secrets[passwordKey(name)]; !value.Empty() && subtle.ConstantTimeCompare([]byte(markOf(value.Reveal())), []byte(mark)) == 1 {
			return true, nil
		}
	}
	return false, nil
}

// markOf is a hash: passwords are 256 random bits, which no search finds from it.
func markOf(password string) string {
	sum := sha256.Sum256([]byte("admin password " + password))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
