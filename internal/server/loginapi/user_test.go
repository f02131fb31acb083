package loginapi_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/server/servertest"
)

const (
	cli      = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
	password = "correct horse"
	endpoint = "/adfs/oauth2/token"
)

func newUser(t *testing.T, w *servertest.World, name string) identity.Principal {
	t.Helper()
	u, err := w.Directory.NewUser(t.Context(), identity.Principal{UserName: name, DisplayName: "Anna", Created: time.Now()}, secret.New(password))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// with is a copy of a form with other values; an empty one is left out.
func with(form url.Values, pairs ...string) url.Values {
	v := url.Values{}
	for name, values := range form {
		v[name] = values
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	return v
}

func passwordForm(w *servertest.World) url.Values {
	return url.Values{"grant_type": {"password"}, "client_id": {cli}, "username": {"anna@acrux.test"}, "password": {password},
		"scope": {w.URL("management") + "/.default offline_access openid profile"}, "client_info": {"1"}}
}

// refused checks the form of an error.
func refused(t *testing.T, name string, a servertest.Answer, status int, code, number string) {
	t.Helper()
	description, _ := a.At("error_description").(string)
	if a.Status != status || a.At("error") != code || !strings.HasPrefix(description, number+": ") || a.Header.Get("Retry-After") != "" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %d %s %v", name, a.Status, a.Body, a.Header)
	}
}

// claimsOf reads a token without verifying it.
func claimsOf(t *testing.T, text any) map[string]any {
	t.Helper()
	token, _ := text.(string)
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%v is no token", text)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	if err != nil || json.Unmarshal(raw, &claims) != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return claims
}

// A user gets in with name and password, and later with the refresh token, for another
// host.
func TestPassword(t *testing.T) {
	w := servertest.New(t)
	u := newUser(t, w, "Anna@acrux.test")
	if _, err := w.Assign(t.Context(), u.ObjectID, "Reader", w.Group); err != nil {
		t.Fatal(err)
	}
	a := w.Login(endpoint, passwordForm(w))
	if a.Status != 200 || a.At("scope") != w.URL("management")+"/.default offline_access openid profile" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	id := claimsOf(t, a.At("id_token"))
	for name, want := range map[string]any{"aud": cli, "oid": string(u.ObjectID), "sub": string(u.ObjectID), "tid": servertest.Tenant, "preferred_username": "anna@acrux.test", "upn": "anna@acrux.test", "iss": w.Issuer.URL} {
		if id[name] != want {
			t.Errorf("the ID token's %s is %v", name, id[name])
		}
	}
	info, err := base64.RawURLEncoding.DecodeString(a.At("client_info").(string))
	if err != nil || string(info) != `{"uid":"`+string(u.ObjectID)+`","utid":"`+servertest.Tenant+`"}` {
		t.Errorf("%s, %v", info, err)
	}
	arm := func(token any) servertest.Answer {
		return w.Do(servertest.Request{Method: "GET", URL: w.URL("management") + w.Group.String() + "?api-version=2021-04-01", Header: map[string]string{"Authorization": "Bearer " + token.(string)}})
	}
	if got := arm(a.At("access_token")); got.Status != 200 {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	for _, member := range []string{"id_token", "refresh_token"} {
		if got := arm(a.At(member)); got.Status != 401 {
			t.Errorf("the %s was accepted: %d", member, got.Status)
		}
	}
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {cli}, "refresh_token": {a.At("refresh_token").(string)}, "scope": {w.URL("graph") + "/.default openid"}}
	b := w.Login("/organizations/oauth2/v2.0/token", form)
	if b.Status != 200 || b.At("refresh_token") != a.At("refresh_token") {
		t.Fatalf("%d %s", b.Status, b.Body)
	}
	me := w.Do(servertest.Request{Method: "GET", URL: w.URL("graph") + "/v1.0/me", Header: map[string]string{"Authorization": "Bearer " + b.At("access_token").(string)}})
	if me.Status != 200 || me.At("userPrincipalName") != "anna@acrux.test" {
		t.Errorf("%d %s", me.Status, me.Body)
	}
	v1 := w.Login("/common/oauth2/token", with(passwordForm(w), "scope", "openid", "resource", "https://management.azure.com/"))
	if v1.Status != 200 || v1.At("resource") != "https://management.azure.com/" || v1.At("scope") != "user_impersonation" {
		t.Errorf("%d %s", v1.Status, v1.Body)
	}
	refused(t, "refresh by another program", w.Login(endpoint, with(form, "client_id", "1950a258-227b-4e31-a9cf-717495945fc2")), 400, "invalid_grant", "AADSTS70043")
	refused(t, "an access token for a refresh token", w.Login(endpoint, with(form, "refresh_token", a.At("access_token").(string))), 400, "invalid_grant", "AADSTS70043")
	u.Disabled = true
	if err := w.Directory.PutPrincipal(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	refused(t, "refresh of a disabled user", w.Login(endpoint, form), 400, "invalid_grant", "AADSTS70043")
	refused(t, "a disabled user", w.Login(endpoint, passwordForm(w)), 400, "invalid_grant", "AADSTS50057")
	refused(t, "a disabled user with a wrong password", w.Login(endpoint, with(passwordForm(w), "password", "x")), 400, "invalid_grant", "AADSTS50126")
	if got := arm(a.At("access_token")); got.Status != 403 {
		t.Errorf("a disabled user: %d %s", got.Status, got.Body)
	}
	tenants := w.Do(servertest.Request{Method: "GET", URL: w.URL("management") + "/tenants?api-version=2022-12-01", Header: map[string]string{"Authorization": "Bearer " + a.At("access_token").(string)}})
	if tenants.Status != 403 || tenants.At("error", "code") != "AuthorizationFailed" {
		t.Errorf("a disabled user, where no right is needed: %d %s", tenants.Status, tenants.Body)
	}
}

// What a user does wrong is told in the form clients expect, and tells nothing of who
// there is.
func TestPasswordRefusals(t *testing.T) {
	w := servertest.New(t)
	newUser(t, w, "anna@acrux.test")
	form := passwordForm(w)
	for _, test := range []struct {
		name         string
		form         url.Values
		status       int
		code, number string
	}{
		{"a wrong password", with(form, "password", "x"), 400, "invalid_grant", "AADSTS50126"},
		{"nobody", with(form, "username", "bert@acrux.test"), 400, "invalid_grant", "AADSTS50126"},
		{"an application", with(form, "username", string(w.Admin.ClientID), "password", w.Admin.Secret), 400, "invalid_grant", "AADSTS50126"},
		{"a long password", with(form, "password", strings.Repeat("x", 5000)), 400, "invalid_grant", "AADSTS50126"},
		{"no password", with(form, "password", ""), 400, "invalid_request", "AADSTS900144"},
		{"no name", with(form, "username", ""), 400, "invalid_request", "AADSTS900144"},
		{"no scope", with(form, "scope", ""), 400, "invalid_request", "AADSTS900144"},
		{"no resource", with(form, "scope", "openid"), 400, "invalid_request", "AADSTS900144"},
		{"a long resource", with(form, "scope", strings.Repeat("x", 600)+"/.default"), 400, "invalid_request", "AADSTS900144"},
		{"an unknown program", with(form, "client_id", "nobody"), 400, "unauthorized_client", "AADSTS700016"},
		{"an application as the program", with(form, "client_id", string(w.Admin.ClientID)), 400, "unauthorized_client", "AADSTS700016"},
		{"no program", with(form, "client_id", ""), 400, "unauthorized_client", "AADSTS700016"},
		{"no grant", with(form, "grant_type", ""), 400, "invalid_request", "AADSTS900144"},
		{"a refresh token that is none", with(form, "grant_type", "refresh_token", "refresh_token", "x"), 400, "invalid_grant", "AADSTS70043"},
		{"no refresh token", with(form, "grant_type", "refresh_token"), 400, "invalid_grant", "AADSTS70043"},
		{"a device code that is none", with(form, "grant_type", "urn:ietf:params:oauth:grant-type:device_code", "device_code", "x"), 400, "expired_token", "AADSTS70019"},
	} {
		refused(t, test.name, w.Login(endpoint, test.form), test.status, test.code, test.number)
	}
}

// Passwords can be tried only so often, and then the right one does not help either;
// other users go on.
func TestGuessing(t *testing.T) {
	w := servertest.New(t)
	newUser(t, w, "anna@acrux.test")
	newUser(t, w, "bert@acrux.test")
	form := passwordForm(w)
	tries := 0
	for ; tries < 100; tries++ {
		if a := w.Login(endpoint, with(form, "password", "wrong")); a.Status != 400 || strings.Contains(a.Body, "AADSTS50053") {
			refused(t, "too many", a, 400, "invalid_grant", "AADSTS50053")
			break
		}
	}
	if tries < 5 || tries > 30 {
		t.Errorf("%d tries", tries)
	}
	refused(t, "the right one", w.Login(endpoint, with(form, "username", "ANNA@acrux.test")), 400, "invalid_grant", "AADSTS50053")
	if a := w.Login(endpoint, with(form, "username", "bert@acrux.test")); a.Status != 200 {
		t.Errorf("another user: %d %s", a.Status, a.Body)
	}
	if a := w.Login(endpoint, url.Values{"grant_type": {"client_credentials"}, "client_id": {string(w.Admin.ClientID)}, "client_secret": {w.Admin.Secret}, "scope": {"x/.default"}}); a.Status != 200 {
		t.Errorf("an application: %d %s", a.Status, a.Body)
	}
}

// Why an application's secret does not do is told.
func TestSecrets(t *testing.T) {
	w := servertest.New(t)
	now := time.Now()
	id := w.Admin.ClientID
	secrets := map[string]string{}
	for name, c := range map[string]identity.Credential{"expired": {Start: now.Add(-2 * time.Hour), End: now.Add(-time.Hour)}, "early": {Start: now.Add(time.Hour)}, "second": {Start: now, End: now.Add(time.Hour)}} {
		_, text, err := w.Directory.AddSecret(t.Context(), id, c)
		if err != nil {
			t.Fatal(err)
		}
		secrets[name] = text.Reveal()
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {string(id)}, "scope": {"x/.default"}}
	login := func(name string) servertest.Answer {
		return w.Login(endpoint, with(form, "client_secret", secrets[name]))
	}
	refused(t, "expired", login("expired"), 401, "invalid_client", "AADSTS7000222")
	refused(t, "early", login("early"), 401, "invalid_client", "AADSTS7000222")
	if a := login("second"); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	p := w.Admin.Principal
	p.Disabled = true
	if err := w.Directory.PutPrincipal(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	refused(t, "disabled", login("second"), 401, "invalid_client", "AADSTS7000112")
	refused(t, "disabled, with a wrong secret", w.Login(endpoint, with(form, "client_secret", "x")), 401, "invalid_client", "AADSTS7000215")
	if a := get(w, endpoint); a.Status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", a.Status)
	}
}
