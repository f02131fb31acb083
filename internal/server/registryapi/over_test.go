package registryapi_test

import (
	"net/url"
	"testing"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/server/servertest"
	leases "github.com/acrux/acrux/internal/tasks/lease"
)

// credentials are all that may be sent in a header for a refresh token of a registry.
func credentials(t *testing.T, r registry, refresh string) map[string]string {
	t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "scope": {"repository:hello:pull"}}
	return map[string]string{"refresh": basic(nobody, refresh), "access": bearer(t, r.form("/oauth2/token", form))}
}

// over says that credentials count nowhere, not even where no right is asked for.
func over(t *testing.T, name string, r registry, refresh string, heads map[string]string) {
	t.Helper()
	for kind, head := range heads {
		for _, path := range []string{"/v2/", "/oauth2/token?scope=repository:hello:pull"} {
			if kind == "access" && path != "/v2/" {
				continue // there is no token for a token
			}
			if a := r.send("GET", path, "", "Authorization", head); a.Status != 401 {
				t.Errorf("%s, %s at %s: %d %s", name, kind, path, a.Status, a.Body)
			}
		}
	}
	if a := r.form("/oauth2/token", url.Values{"grant_type": {"refresh_token"},
		"refresh_token": {refresh}}); a.Status != 401 {
		t.Errorf("%s: another token: %d %s", name, a.Status, a.Body)
	}
}

// What was made for a run that has ended, or for a principal that was deleted or disabled,
// opens nothing.
func TestCredentialsEnd(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", servertest.Person{})
	w.ARMOK(w.Admin, "POST", w.Registry.String()+"/scheduleRun",
		`{"type":"EncodedTaskRunRequest","encodedTaskContent":"c3RlcHM6IFtdCg==","platform":{"os":"linux"}}`)
	l, err := w.Runs.Acquire(t.Context(), leases.Agent{Name: "test", OS: "linux", Arch: "amd64"})
	must(t, err)
	refresh := l.Job.Logins[0].Password.Reveal()
	heads := credentials(t, r, refresh)
	want(t, r.send("GET", "/v2/", "", "Authorization", heads["refresh"]), 200, "")
	want(t, r.send("GET", "/v2/", "", "Authorization", heads["access"]), 200, "")
	another := of(w, registryNamed(w, "Another1"), servertest.Person{})
	if a := another.send("GET", "/v2/", "", "Authorization", heads["access"]); a.Status != 401 {
		t.Errorf("another registry: %d", a.Status)
	}
	must(t, w.Runs.Complete(t.Context(), l.Key, leases.Result{Status: leases.Succeeded}))
	over(t, "an ended run", r, refresh, heads)

	for name, end := range map[string]func(p servertest.Person) error{
		"deleted": func(p servertest.Person) error { return w.Directory.DeletePrincipal(t.Context(), p.ObjectID) },
		"disabled": func(p servertest.Person) error {
			p.Disabled = true
			return w.Directory.PutPrincipal(t.Context(), p.Principal)
		},
	} {
		p := w.Person(name, "AcrPull", arm.ID{})
		refresh, _ := r.form("/oauth2/exchange", url.Values{"grant_type": {"password"},
			"username": {string(p.ClientID)}, "password": {p.Secret}}).At("refresh_token").(string)
		heads := credentials(t, r, refresh)
		want(t, r.send("GET", "/v2/", "", "Authorization", heads["access"]), 200, "")
		identity := w.TokenFor(p, "management")
		must(t, end(p))
		over(t, name, r, refresh, heads)
		if a := r.form("/oauth2/exchange", url.Values{"grant_type": {"access_token"},
			"access_token": {identity}}); a.Status != 401 {
			t.Errorf("%s: exchanging: %d %s", name, a.Status, a.Body)
		}
		for _, host := range []string{"management", "graph"} {
			path := map[string]string{"management": "/subscriptions?api-version=2020-01-01", "graph": "/v1.0/me"}[host]
			a := w.Do(servertest.Request{Method: "GET", URL: w.URL(host) + path,
				Header: map[string]string{"Authorization": "Bearer " + identity}})
			if a.Status != 401 && a.Status != 403 {
				t.Errorf("%s: %s: %d %s", name, host, a.Status, a.Body)
			}
		}
	}
}

// Nobody learns without a password whether there is an admin user, a token, or a principal.
func TestNobodyLearnsWhoIsThere(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", servertest.Person{})
	permit(w, "MyMap", "hello content/read")
	newToken(t, w, "MyToken", "MyMap")
	for _, users := range [][2]string{{"MyToken", "NoToken"}, {string(w.Admin.ClientID),
		"11111111-2222-3333-4444-555555555555"}} {
		there := r.send("GET", "/v2/", "", "Authorization", basic(users[0], "x"))
		gone := r.send("GET", "/v2/", "", "Authorization", basic(users[1], "x"))
		want(t, there, 401, "UNAUTHORIZED")
		equal(t, there.Body, gone.Body)
	}
	off := r.send("GET", "/v2/", "", "Authorization", basic("MyRegistry", "x"))
	set(w, `{"adminUserEnabled":true}`)
	on := r.send("GET", "/v2/", "", "Authorization", basic("MyRegistry", "x"))
	want(t, on, 401, "UNAUTHORIZED")
	equal(t, off.Body, on.Body)
}
