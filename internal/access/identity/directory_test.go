package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/secret"
)

// An application has several secrets, each with its times.
func TestSecrets(t *testing.T) {
	d, now := directory(t), time.Now()
	p, first, err := d.NewApplication(t.Context(), "app", now)
	if err != nil {
		t.Fatal(err)
	}
	add := func(start, end time.Time) (identity.Credential, secret.String) {
		c, text, err := d.AddSecret(t.Context(), p.ClientID, identity.Credential{DisplayName: "x", Start: start, End: end})
		if err != nil || c.Hint != text.Reveal()[len("acrux_"):][:3] {
			t.Fatal(c, err)
		}
		return c, text
	}
	second, good := add(now, now.Add(time.Hour))
	_, old := add(now.Add(-time.Hour), now.Add(-time.Minute))
	_, early := add(now.Add(time.Hour), now.Add(2*time.Hour))
	try := func(name string, text secret.String, want error) {
		t.Helper()
		if _, err := d.Authenticate(t.Context(), p.ClientID, text); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	try("first", first, nil)
	try("second", good, nil)
	try("expired", old, identity.ErrSecretExpired)
	try("early", early, identity.ErrSecretExpired)
	try("wrong", secret.New("wrong"), identity.ErrWrongSecret)
	if !errors.Is(identity.ErrSecretExpired, identity.ErrWrongSecret) || !errors.Is(identity.ErrDisabled, identity.ErrWrongSecret) {
		t.Error("who asks for a wrong secret alone must see those that do not count, too")
	}
	if err := d.DeleteCredential(t.Context(), p.ClientID, second.KeyID); err != nil {
		t.Fatal(err)
	}
	if err := d.DeleteCredential(t.Context(), p.ClientID, second.KeyID); !errors.Is(err, identity.ErrNotFound) {
		t.Error(err)
	}
	try("removed", good, identity.ErrWrongSecret)
	p.Disabled = true
	if err := d.PutPrincipal(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	try("disabled", first, identity.ErrDisabled)
	for range identity.MaxCredentials {
		_, _, err = d.AddSecret(t.Context(), p.ClientID, identity.Credential{Start: now})
	}
	if !problem.Is(err, problem.Invalid) {
		t.Errorf("one secret too many: %v", err)
	}
}

// Deleting an application takes everything of it.
func TestDeleteApplication(t *testing.T) {
	d := directory(t)
	p, text, err := d.NewApplication(t.Context(), "app", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.NewServicePrincipal(t.Context(), p.ClientID, time.Now()); !errors.Is(err, identity.ErrExists) {
		t.Errorf("a second service principal: %v", err)
	}
	app, err := d.RegistrationByClientID(t.Context(), identity.ClientID(strings.ToUpper(string(p.ClientID))))
	if err != nil || app.ObjectID == p.ObjectID {
		t.Fatal(app, err)
	}
	if err := d.DeleteApplication(t.Context(), app.ObjectID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Authenticate(t.Context(), p.ClientID, text); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("it signs in: %v", err)
	}
	if left, err := d.Credentials(t.Context(), p.ClientID); err != nil || len(left) != 0 {
		t.Error(left, err)
	}
	if err := d.DeleteApplication(t.Context(), app.ObjectID); !errors.Is(err, identity.ErrNotFound) {
		t.Error(err)
	}
}

func certificate(t *testing.T, key any, public any) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestCertificates(t *testing.T) {
	d, now := directory(t), time.Now()
	app, err := d.Register(t.Context(), "app", "", now)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := certificate(t, rsaKey, &rsaKey.PublicKey)
	set := func(all ...identity.Credential) error { return d.SetCertificates(t.Context(), app.ClientID, all) }
	if err := set(identity.Credential{Certificate: good, End: now.Add(1000 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	have, err := d.Credentials(t.Context(), app.ClientID)
	if err != nil || len(have) != 1 || have[0].End.After(now.Add(2*time.Hour)) || have[0].Start.IsZero() {
		t.Fatalf("%+v, %v", have, err)
	}
	for name, der := range map[string][]byte{"rubbish": []byte("x"), "nothing": nil, "an EC key": certificate(t, ecKey, &ecKey.PublicKey)} {
		if err := set(identity.Credential{Certificate: der}); !problem.Is(err, problem.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What is sent back without its bytes stays; what is not sent goes.
	if err := set(identity.Credential{KeyID: strings.ToUpper(have[0].KeyID)}, identity.Credential{Certificate: good}); err != nil {
		t.Fatal(err)
	}
	if now, err := d.Credentials(t.Context(), app.ClientID); err != nil || len(now) != 2 {
		t.Errorf("%v, %v", now, err)
	}
	if err := set(); err != nil {
		t.Fatal(err)
	}
	if now, err := d.Credentials(t.Context(), app.ClientID); err != nil || len(now) != 0 {
		t.Errorf("%v, %v", now, err)
	}
}

func TestTrusts(t *testing.T) {
	d := directory(t)
	app, err := d.Register(t.Context(), "app", "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	trust := identity.Trust{ID: "1", Name: "a", Issuer: "https://i", Subject: "s", Audiences: []string{"api://x"}, Description: "d"}
	ctx := t.Context()
	put := func(t identity.Trust) error { return d.PutTrust(ctx, app.ClientID, t) }
	if err := put(trust); err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]identity.Trust{"the name": {ID: "2", Name: "a", Issuer: "https://j"}, "issuer and subject": {ID: "2", Name: "b", Issuer: "https://i", Subject: "s"}} {
		if err := put(other); !errors.Is(err, identity.ErrExists) {
			t.Errorf("%s again: %v", name, err)
		}
	}
	trust.Subject = "other"
	if err := put(trust); err != nil {
		t.Error(err)
	}
	all, err := d.Trusts(t.Context(), app.ClientID)
	if err != nil || len(all) != 1 || all[0].Subject != "other" || all[0].Audiences[0] != "api://x" {
		t.Error(all, err)
	}
	if err := d.DeleteTrust(t.Context(), app.ClientID, "1"); err != nil {
		t.Error(err)
	}
	if err := d.DeleteTrust(t.Context(), app.ClientID, "1"); !errors.Is(err, identity.ErrNotFound) {
		t.Error(err)
	}
}

const password = "correct horse"

func user(t *testing.T, d *identity.Directory, name string) identity.Principal {
	t.Helper()
	p, err := d.NewUser(t.Context(), identity.Principal{UserName: name, DisplayName: "Jane", Created: time.Now()}, secret.New(password))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestUsers(t *testing.T) {
	d := directory(t)
	jane, joe := user(t, d, "Jane@Acrux.test"), user(t, d, "joe@acrux.test")
	if jane.UserName != "jane@acrux.test" || jane.Type() != "User" || joe.ObjectID == jane.ObjectID {
		t.Errorf("%+v", jane)
	}
	hash, err := d.PasswordHash(t.Context(), jane.ObjectID)
	if err != nil || !strings.HasPrefix(hash, "argon2id:") || strings.Contains(hash, password) {
		t.Fatal(hash, err)
	}
	for _, test := range []struct {
		name, user, password string
		want                 error
	}{
		{"right", "jane@acrux.test", password, nil},
		{"capitals", "JANE@acrux.test", password, nil},
		{"wrong", "jane@acrux.test", "wrong horse", identity.ErrWrongSecret},
		{"empty", "jane@acrux.test", "", identity.ErrWrongSecret},
		{"the hash", "jane@acrux.test", hash, identity.ErrWrongSecret},
		{"nobody", "nobody@acrux.test", password, identity.ErrWrongSecret},
		{"nobody, nothing", "", "", identity.ErrWrongSecret},
		{"the object ID", string(jane.ObjectID), password, identity.ErrWrongSecret},
		{"very long", "jane@acrux.test", strings.Repeat("x", 100_000), identity.ErrWrongSecret},
	} {
		p, err := d.AuthenticateUser(t.Context(), test.user, secret.New(test.password))
		if !errors.Is(err, test.want) || err == nil && p.ObjectID != jane.ObjectID {
			t.Errorf("%s: %v, %v", test.name, p, err)
		}
	}
	if err := d.SetPassword(t.Context(), jane, secret.New("battery staple")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AuthenticateUser(t.Context(), jane.UserName, secret.New(password)); !errors.Is(err, identity.ErrWrongSecret) {
		t.Errorf("the old password: %v", err)
	}
	jane.Disabled = true
	if err := d.PutPrincipal(t.Context(), jane); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AuthenticateUser(t.Context(), jane.UserName, secret.New("battery staple")); !errors.Is(err, identity.ErrDisabled) {
		t.Errorf("disabled: %v", err)
	}
	if _, err := d.Authenticate(t.Context(), "", secret.New(password)); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("a user as an application: %v", err)
	}
}

func TestBadUsers(t *testing.T) {
	d := directory(t)
	user(t, d, "jane@acrux.test")
	for _, test := range []struct{ name, user, password string }{
		{"no domain", "jane", password}, {"no name", "@acrux.test", password}, {"two", "a@b@c", password}, {"a space", "a b@c", password},
		{"a line", "a\n@c", password}, {"long", strings.Repeat("x", 300) + "@c", password}, {"empty", "", password},
		{"short password", "joe@acrux.test", "1234567"}, {"long password", "joe@acrux.test", strings.Repeat("x", 257)}, {"its name", "joey@acrux.test", "xxJOEYxx"},
	} {
		if _, err := d.NewUser(t.Context(), identity.Principal{UserName: test.user}, secret.New(test.password)); !problem.Is(err, problem.Invalid) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if _, err := d.NewUser(t.Context(), identity.Principal{UserName: "JANE@acrux.test"}, secret.New(password)); !errors.Is(err, identity.ErrExists) {
		t.Errorf("twice: %v", err)
	}
}

// Many attempts at once wait for each other and all get their answer.
func TestManyAttempts(t *testing.T) {
	d := directory(t)
	user(t, d, "jane@acrux.test")
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			if _, err := d.AuthenticateUser(t.Context(), "jane@acrux.test", secret.New(password)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
