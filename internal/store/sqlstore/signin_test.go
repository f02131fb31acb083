package sqlstore

import (
	"errors"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/signin"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

const program = identity.ClientID("04b07795-8ddb-461a-bbee-02f9e1bf7b46")

func openSignIn(t *testing.T) (*signin.Service, *identity.Directory, identity.Principal) {
	t.Helper()
	db, err := Open(t.Context(), sqlstoretest.Where(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	directory := &identity.Directory{Store: Principals{DB: db}, TenantID: "tenant"}
	user, err := directory.NewUser(t.Context(), identity.Principal{UserName: "anna@acrux.test", DisplayName: "Anna", Created: time.Now()}, secret.New("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	return signin.NewService(SignIn{DB: db}), directory, user
}

// A refresh token is its client's, ends without use, and lives on with use.
func TestRefresh(t *testing.T) {
	s, _, user := openSignIn(t)
	now := time.Now().Truncate(time.Second)
	text, err := s.NewRefresh(t.Context(), user.ObjectID, program, now)
	if err != nil {
		t.Fatal(err)
	}
	use := func(text secret.String, client identity.ClientID, at time.Time) error {
		who, err := s.UseRefresh(t.Context(), text, client, at)
		if err == nil && who != user.ObjectID {
			t.Errorf("it is %s's", who)
		}
		return err
	}
	later := now.Add(signin.RefreshTTL - time.Hour)
	for _, test := range []struct {
		name   string
		text   secret.String
		client identity.ClientID
		at     time.Time
		want   error
	}{
		{"at once", text, program, now, nil},
		{"another client", text, "other", now, signin.ErrUnknown},
		{"another token", secret.New("acrux_rt_x"), program, now, signin.ErrUnknown},
		{"no token", secret.String{}, program, now, signin.ErrUnknown},
		{"late", text, program, later, nil},
		{"later, as it was used", text, program, later.Add(signin.RefreshTTL - time.Hour), nil},
		{"too late", text, program, later.Add(3 * signin.RefreshTTL), signin.ErrUnknown},
	} {
		if err := use(test.text, test.client, test.at); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// Refresh tokens end with the password, with disabling, and with the user; the oldest
// ones end when there are many.
func TestRefreshEnds(t *testing.T) {
	for name, end := range map[string]func(*identity.Directory, identity.Principal) error{
		"password": func(d *identity.Directory, u identity.Principal) error {
			return d.SetPassword(t.Context(), u, secret.New("another one"))
		},
		"disabled": func(d *identity.Directory, u identity.Principal) error {
			u.Disabled = true
			return d.PutPrincipal(t.Context(), u)
		},
		"deleted": func(d *identity.Directory, u identity.Principal) error {
			return d.DeletePrincipal(t.Context(), u.ObjectID)
		},
	} {
		s, directory, user := openSignIn(t)
		text, err := s.NewRefresh(t.Context(), user.ObjectID, program, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := end(directory, user); err != nil {
			t.Fatal(err)
		}
		if _, err := s.UseRefresh(t.Context(), text, program, time.Now()); !errors.Is(err, signin.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
		_, err = s.NewRefresh(t.Context(), user.ObjectID, program, time.Now())
		if gone := name != "password"; errors.Is(err, signin.ErrUnknown) != gone {
			t.Errorf("a new one, %s: %v", name, err)
		}
	}
	s, _, user := openSignIn(t)
	var all []secret.String
	for i := range 102 {
		text, err := s.NewRefresh(t.Context(), user.ObjectID, program, time.Now().Add(time.Duration(i)*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	for i, want := range map[int]error{0: signin.ErrUnknown, 1: signin.ErrUnknown, 2: nil, 101: nil} {
		if _, err := s.UseRefresh(t.Context(), all[i], program, time.Now()); !errors.Is(err, want) {
			t.Errorf("token %d: %v", i, err)
		}
	}
}

// A device is let in once, by its user code, and gets in once.
func TestDevice(t *testing.T) {
	s, _, user := openSignIn(t)
	now := time.Now()
	code, device, err := s.NewDevice(t.Context(), program, "scope", now)
	if err != nil {
		t.Fatal(err)
	}
	take := func(code secret.String, client identity.ClientID, at time.Time) error {
		got, err := s.TakeDevice(t.Context(), code, client, at)
		if err == nil && (got.Principal != user.ObjectID || got.Scope != "scope") {
			t.Errorf("%+v", got)
		}
		return err
	}
	late := now.Add(signin.DeviceTTL)
	if _, err := s.Waiting(t.Context(), device.UserCode, late); !errors.Is(err, signin.ErrUnknown) {
		t.Errorf("it still waits: %v", err)
	}
	if _, err := s.AdmitDevice(t.Context(), device.UserCode, user.ObjectID, late); !errors.Is(err, signin.ErrUnknown) {
		t.Errorf("let in late: %v", err)
	}
	if got, err := s.Waiting(t.Context(), device.UserCode, now); err != nil || got.Client != program {
		t.Errorf("%+v, %v", got, err)
	}
	if err := take(code, program, now); !errors.Is(err, signin.ErrPending) {
		t.Errorf("before: %v", err)
	}
	for _, typed := range []string{"", "BCDF-GHJK", "x"} {
		if _, err := s.AdmitDevice(t.Context(), typed, user.ObjectID, now); !errors.Is(err, signin.ErrUnknown) {
			t.Errorf("%q: %v", typed, err)
		}
	}
	if _, err := s.AdmitDevice(t.Context(), device.UserCode, user.ObjectID, now); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AdmitDevice(t.Context(), device.UserCode, "somebody else", now); !errors.Is(err, signin.ErrUnknown) {
		t.Errorf("let in again: %v", err)
	}
	for name, err := range map[string]error{"by the user code": take(secret.New(device.UserCode), program, now), "by its hash": take(secret.New(device.Hash), program, now), "another client": take(code, "other", now), "late": take(code, program, late)} {
		if !errors.Is(err, signin.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := take(code, program, now); err != nil {
		t.Error(err)
	}
	if err := take(code, program, now); !errors.Is(err, signin.ErrUnknown) {
		t.Errorf("a second time: %v", err)
	}
}

// Codes that wait are bounded, and make room when they have expired.
func TestDevicesBounded(t *testing.T) {
	s, _, _ := openSignIn(t)
	now := time.Now()
	for i := range 1000 {
		if _, _, err := s.NewDevice(t.Context(), program, "", now); err != nil {
			t.Fatal(i, err)
		}
	}
	if _, _, err := s.NewDevice(t.Context(), program, "", now); !errors.Is(err, signin.ErrTooMany) {
		t.Errorf("one too many: %v", err)
	}
	if _, _, err := s.NewDevice(t.Context(), program, "", now.Add(signin.DeviceTTL)); err != nil {
		t.Errorf("when the others have expired: %v", err)
	}
}

// An assertion counts once, for one thing.
func TestUseAssertion(t *testing.T) {
	s, _, _ := openSignIn(t)
	now := time.Now()
	for i, test := range []struct {
		what string
		at   time.Time
		want error
	}{{"a", now, nil}, {"a", now, signin.ErrUsed}, {"b", now, nil}, {"a", now.Add(59 * time.Second), signin.ErrUsed}, {"a", now.Add(time.Minute), nil}} {
		if err := s.UseAssertion(t.Context(), test.what, now.Add(time.Minute), test.at); !errors.Is(err, test.want) {
			t.Errorf("%d: %v", i, err)
		}
	}
	done := make(chan error)
	for range 10 {
		go func() { done <- s.UseAssertion(t.Context(), "at once", now.Add(time.Minute), now) }()
	}
	won := 0
	for range 10 {
		if err := <-done; err == nil {
			won++
		} else if !errors.Is(err, signin.ErrUsed) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("it counted %d times", won)
	}
}
