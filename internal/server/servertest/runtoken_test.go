package servertest_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/server/servertest"
	"github.com/acrux/acrux/internal/tasks/lease"
)

// begin starts a run of a task with an identity that may do everything in the group.
func begin(t *testing.T, w *servertest.World) (l *lease.Lease, principal string) {
	t.Helper()
	file := base64.StdEncoding.EncodeToString([]byte("version: v1.1.0\nsteps:\n- cmd: x\n"))
	task := w.ARMOK(w.Admin, http.MethodPut, w.Registry.String()+"/tasks/hello", `{"location":"eastus","identity":{"type":"SystemAssigned"},`+
		`"properties":{"platform":{"os":"linux"},"step":{"type":"EncodedTask","encodedTaskContent":"`+file+`"}}}`)
	principal, _ = task.At("identity", "principalId").(string)
	if _, err := w.Assign(t.Context(), identity.ObjectID(principal), "Owner", w.Group); err != nil {
		t.Fatal(err)
	}
	w.ARMOK(w.Admin, http.MethodPost, w.Registry.String()+"/scheduleRun", `{"type":"TaskRunRequest","taskId":"`+task.At("id").(string)+`"}`)
	l, err := w.Stack.Runs.Acquire(t.Context(), lease.Agent{Name: "test", OS: "linux", Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	return l, principal
}

// What a run got for its identity, and what it made of that at any door, ends with the run.
func TestTokensEndWithTheirRun(t *testing.T) {
	w := servertest.New(t)
	l, principal := begin(t, w)
	app := w.Person("app", "Owner", w.Group)
	if _, err := w.Directory.AddTrust(t.Context(), app.ClientID, identity.Trust{Name: "own", Issuer: w.Issuer.URL, Subject: principal, Audiences: []string{exchange}}); err != nil {
		t.Fatal(err)
	}
	token := func(audience string) string {
		t.Helper()
		got, err := w.Stack.Runs.Token(t.Context(), l.Key, lease.TokenRequest{Audience: audience})
		if err != nil {
			t.Fatal(err)
		}
		return got.Token.Reveal()
	}
	post := func(address, field string, form url.Values) string {
		t.Helper()
		a := w.Do(servertest.Request{Method: http.MethodPost, URL: address, Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, Body: form.Encode()})
		text, _ := a.At(field).(string)
		if text == "" {
			t.Fatalf("%s: %d %s", address, a.Status, a.Body)
		}
		return text
	}
	host := w.LoginServer("myregistry")
	tokens := map[string]string{"management": token(w.URL("management")), "graph": token(w.URL("graph")), "registry exchange": token("https://containerregistry.azure.net"), "federation": token(exchange)}
	tokens["registry token"] = post("https://"+host+"/oauth2/exchange", "refresh_token", url.Values{"grant_type": {"access_token"}, "service": {host}, "access_token": {tokens["registry exchange"]}})
	tokens["registry"] = post("https://"+host+"/oauth2/token", "access_token", url.Values{"grant_type": {"refresh_token"}, "service": {host}, "scope": {"registry:catalog:*"}, "refresh_token": {tokens["registry token"]}})
	federated := func(scope string) string {
		return post(w.URL("login")+"/adfs/oauth2/token", "access_token", url.Values{"grant_type": {"client_credentials"}, "client_id": {string(app.ClientID)}, "scope": {scope + "/.default"},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {tokens["federation"]}})
	}
	made := federated(w.URL("management"))

	open := doors(w, app)
	for name, text := range tokens {
		if status := open[name](text); status != http.StatusOK {
			t.Errorf("during the run %s answers %d", name, status)
		}
	}
	if status := open["management"](made); status != http.StatusOK {
		t.Errorf("during the run what federation gave gets %d", status)
	}
	if err := w.Stack.Runs.Complete(t.Context(), l.Key, lease.Result{Status: lease.Succeeded}); err != nil {
		t.Fatal(err)
	}
	for name, text := range tokens {
		if status := open[name](text); status != http.StatusUnauthorized {
			t.Errorf("after the run %s answers %d", name, status)
		}
	}
	if status := open["management"](made); status != http.StatusUnauthorized {
		t.Errorf("after the run what federation gave gets %d", status)
	}
}

// A run that is gone with its registry has no tokens that are good.
func TestTokensEndWithTheirRegistry(t *testing.T) {
	w := servertest.New(t)
	l, _ := begin(t, w)
	got, err := w.Stack.Runs.Token(t.Context(), l.Key, lease.TokenRequest{Audience: w.URL("management")})
	if err != nil {
		t.Fatal(err)
	}
	open := doors(w, w.Person("app", "", arm.ID{}))["management"]
	if status := open(got.Token.Reveal()); status != http.StatusOK {
		t.Fatalf("during the run: %d", status)
	}
	w.ARMOK(w.Admin, http.MethodDelete, w.Registry.String(), "")
	if status := open(got.Token.Reveal()); status != http.StatusUnauthorized {
		t.Errorf("without the run: %d", status)
	}
}
