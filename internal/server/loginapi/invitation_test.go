package loginapi_test

import (
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/signin"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/server/servertest"
)

// guest is a user who was invited.
func guest(t *testing.T, w *servertest.World, name string) (identity.Principal, string) {
	t.Helper()
	u, err := w.Directory.NewGuest(t.Context(), identity.Principal{UserName: name, DisplayName: name, Created: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return u, invite(t, w, u, time.Now())
}

func invite(t *testing.T, w *servertest.World, u identity.Principal, at time.Time) string {
	t.Helper()
	code, _, err := w.SignIn.Invite(t.Context(), u.ObjectID, at)
	if err != nil {
		t.Fatal(err)
	}
	return code.Reveal()
}

func acceptance(w *servertest.World, code, chosen string) servertest.Answer {
	return w.Login("/adfs/invitation", url.Values{"invitation": {code}, "password": {chosen}})
}

// Who was invited chooses a password, and signs in with it.
func TestInvitation(t *testing.T) {
	w := servertest.New(t)
	_, code := guest(t, w, "Grace@acrux.test")
	sign := url.Values{"grant_type": {"password"}, "client_id": {cli}, "username": {"grace@acrux.test"},
		"password": {password}, "scope": {"x/.default"}}
	refused(t, "signing in before", w.Login(endpoint, sign), 400, "invalid_grant", "AADSTS50126")
	refused(t, "a short password", acceptance(w, code, "short"), 400, "invalid_request", "AADSTS50052")
	refused(t, "the name as password", acceptance(w, code, "grace-grace"), 400, "invalid_request", "AADSTS50052")
	refused(t, "no password", acceptance(w, code, ""), 400, "invalid_request", "AADSTS900144")
	refused(t, "no code", acceptance(w, "", password), 400, "invalid_request", "AADSTS900144")
	refused(t, "another code", acceptance(w, "acrux_in_x", password), 400, "expired_token", "AADSTS70019")
	if a := acceptance(w, code, password); a.Status != 200 || a.At("username") != "grace@acrux.test" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a := w.Login(endpoint, sign); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	refused(t, "again", acceptance(w, code, "another password"), 400, "expired_token", "AADSTS70019")
}

// An invitation ends with time, with the next one, with a password that somebody else gave,
// and with its user.
func TestInvitationEnds(t *testing.T) {
	w := servertest.New(t)
	for name, end := range map[string]func(u identity.Principal) error{
		"newer": func(u identity.Principal) error { invite(t, w, u, time.Now()); return nil },
		"password": func(u identity.Principal) error {
			return w.Directory.SetPassword(t.Context(), u, secret.New("correct horse"))
		},
		"deleted": func(u identity.Principal) error { return w.Directory.DeletePrincipal(t.Context(), u.ObjectID) },
	} {
		u, code := guest(t, w, name+"@acrux.test")
		if err := end(u); err != nil {
			t.Fatal(err)
		}
		refused(t, name, acceptance(w, code, "a good one"), 400, "expired_token", "AADSTS70019")
	}
	u, _ := guest(t, w, "late@acrux.test")
	late := invite(t, w, u, time.Now().Add(-signin.InvitationTTL))
	refused(t, "late", acceptance(w, late, password), 400, "expired_token", "AADSTS70019")
	u, code := guest(t, w, "disabled@acrux.test")
	u.Disabled = true
	if err := w.Directory.PutPrincipal(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	refused(t, "disabled", acceptance(w, code, password), 400, "invalid_grant", "AADSTS50057")
}

// Of several who have the same invitation one chooses the password.
func TestInvitationOnce(t *testing.T) {
	w := servertest.New(t)
	_, code := guest(t, w, "once@acrux.test")
	var all sync.WaitGroup
	won := make(chan string, 8)
	for _, chosen := range []string{"password one", "password two", "password three", "password four"} {
		all.Go(func() {
			if acceptance(w, code, chosen).Status == 200 {
				won <- chosen
			}
		})
	}
	all.Wait()
	close(won)
	if len(won) != 1 {
		t.Fatalf("%d chose", len(won))
	}
	a := w.Login(endpoint, url.Values{"grant_type": {"password"}, "client_id": {cli}, "username": {"once@acrux.test"},
		"password": {<-won}, "scope": {"x/.default"}})
	if a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
