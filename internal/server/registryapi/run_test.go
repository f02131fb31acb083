package registryapi_test

import (
	"net/url"
	"testing"

	"github.com/acrux/acrux/internal/server/servertest"
	leases "github.com/acrux/acrux/internal/tasks/lease"
)

// A run does with its own registry what published tools in steps do: list, tag, lock, purge and
// restore, with tokens for all repositories at once. It is the same with its login, and it may
// nothing elsewhere.
func TestRunMay(t *testing.T) {
	w := servertest.New(t)
	of(w, "myregistry", w.Admin).image(t, "hello", "v1", "layer")
	other := of(w, registryNamed(w, "Another1"), w.Admin)
	other.image(t, "hello", "v1", "layer")
	w.ARMOK(w.Admin, "POST", w.Registry.String()+"/scheduleRun",
		`{"type":"EncodedTaskRunRequest","encodedTaskContent":"c3RlcHM6IFtdCg==","platform":{"os":"linux"}}`)
	l, err := w.Runs.Acquire(t.Context(), leases.Agent{Name: "test", OS: "linux", Arch: "amd64"})
	must(t, err)
	login := l.Job.Logins[0].Password.Reveal()
	r := of(w, "myregistry", servertest.Person{})
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {login}, "scope": {"registry:catalog:* repository:*:*"}}
	for name, head := range map[string]string{"login": basic(nobody, login), "access token": bearer(t, r.form("/oauth2/token", form))} {
		for _, step := range []struct {
			method, path, body string
			status             int
		}{
			{"GET", "/acr/v1/_catalog", "", 200},
			{"GET", "/v2/_catalog", "", 200},
			{"GET", "/acr/v1/hello/_tags", "", 200},
			{"GET", "/acr/v1/hello/_manifests", "", 200},
			{"PATCH", "/acr/v1/hello/_tags/v1", `{"deleteEnabled":true}`, 200},
			{"GET", "/v2/hello/manifests/v1", "", 200},
			{"POST", "/v2/hello/blobs/uploads/", "", 202},
			{"DELETE", "/acr/v1/hello/_tags/none", "", 404},
			{"DELETE", "/v2/hello/manifests/none", "", 404},
		} {
			a := r.send(step.method, step.path, step.body, "Authorization", head)
			if a.Status != step.status {
				t.Errorf("%s: %s %s: %d %s", name, step.method, step.path, a.Status, a.Body)
			}
		}
		if a := of(w, "another1", servertest.Person{}).send("GET", "/v2/hello/manifests/v1", "", "Authorization", head); a.Status != 401 {
			t.Errorf("%s elsewhere: %d %s", name, a.Status, a.Body)
		}
	}
}
