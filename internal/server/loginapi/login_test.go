package loginapi_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/server/servertest"
)

func get(w *servertest.World, path string) servertest.Answer {
	return w.Do(servertest.Request{Method: http.MethodGet, URL: w.URL("login") + path})
}

// The metadata of an authority, az-wire 3.1: every known name has it, others do not.
func TestConfiguration(t *testing.T) {
	w := servertest.New(t)
	const file = "/.well-known/openid-configuration"
	for _, test := range []struct {
		path, token string // path of the token endpoint; empty for 404
	}{
		{"/adfs" + file, "/adfs/oauth2/token"},
		{"/" + servertest.Tenant + "/v2.0" + file, "/" + servertest.Tenant + "/oauth2/v2.0/token"},
		{"/" + servertest.Tenant + file, "/" + servertest.Tenant + "/oauth2/v2.0/token"},
		{"/organizations/v2.0" + file, "/organizations/oauth2/v2.0/token"},
		{"/common/v2.0" + file, "/common/oauth2/v2.0/token"},
		{"/adfs/" + servertest.Tenant + file, "/adfs/oauth2/token"},
		{"//adfs/" + file, "/adfs/oauth2/token"},
		{"/nobody" + file, ""},
		{"/nobody/v2.0" + file, ""},
		{"/adfs/nobody" + file, ""},
	} {
		a := get(w, test.path)
		if test.token == "" {
			if a.Status != 404 || a.At("error") == nil {
				t.Errorf("%s: %d %s", test.path, a.Status, a.Body)
			}
			continue
		}
		if a.Status != 200 || a.At("issuer") != w.URL("login")+"/"+servertest.Tenant+"/" || a.At("token_endpoint") != w.URL("login")+test.token {
			t.Errorf("%s: %d %s", test.path, a.Status, a.Body)
		}
		for _, name := range []string{"authorization_endpoint", "device_authorization_endpoint", "jwks_uri"} {
			if text, _ := a.At(name).(string); !strings.HasPrefix(text, w.URL("login")+"/") {
				t.Errorf("%s: %s is %q", test.path, name, text)
			}
		}
		keys := get(w, strings.TrimPrefix(a.At("jwks_uri").(string), w.URL("login")))
		if list, _ := keys.At("keys").([]any); keys.Status != 200 || len(list) != 1 {
			t.Errorf("the keys are %s", keys.Body)
		}
	}
	a := get(w, "/common/discovery/instance?api-version=1.1&authorization_endpoint=https://x")
	if a.At("tenant_discovery_endpoint") != w.URL("login")+"/"+servertest.Tenant+"/v2.0"+file {
		t.Errorf("instance discovery: %s", a.Body)
	}
	if a := get(w, "/common/userrealm/anna@acrux.test?api-version=1.0"); a.At("account_type") != "Managed" || a.At("domain_name") != "acrux.test" {
		t.Errorf("user realm: %s", a.Body)
	}
	if a := get(w, "/adfs/oauth2/authorize"); a.Status != 501 || !strings.Contains(a.Body, "az login --use-device-code") {
		t.Errorf("browsers: %d %s", a.Status, a.Body)
	}
	if a := get(w, "/adfs/oauth2/nothing"); a.Status != 404 {
		t.Errorf("what is not served: %d %s", a.Status, a.Body)
	}
}

// A service principal gets a token, az-wire 3.2; what is wrong is told as 3.3 has it.
func TestToken(t *testing.T) {
	w := servertest.New(t)
	managed, err := w.Directory.NewManaged(t.Context(), "id", "/x", w.Admin.Created)
	if err != nil {
		t.Fatal(err)
	}
	id, password := string(w.Admin.ClientID), w.Admin.Secret
	form := func(pairs ...string) url.Values {
		v := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {password}, "scope": {"https://arm.example/.default"},
			"client_info": {"1"}, "claims": {`{"access_token":{}}`}}
		for i := 0; i+1 < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v
	}
	for _, test := range []struct {
		name, path string
		form       url.Values
		status     int
		result     string // the audience, or the error
		number     string
	}{
		{"adfs", "/adfs/oauth2/token", form(), 200, "https://arm.example", ""},
		{"tenant", "/" + servertest.Tenant + "/oauth2/v2.0/token", form(), 200, "https://arm.example", ""},
		{"two slashes", "/adfs/oauth2/token", form("scope", "https://arm.example//.default"), 200, "https://arm.example/", ""},
		{"more scopes", "/adfs/oauth2/token", form("scope", "openid offline_access https://arm.example/.default profile"), 200, "https://arm.example", ""},
		{"a resource", "/" + servertest.Tenant + "/oauth2/token", form("scope", "", "resource", "https://arm.example/"), 200, "https://arm.example/", ""},
		{"capitals", "/adfs/oauth2/token", form("client_id", strings.ToUpper(id)), 200, "https://arm.example", ""},
		{"a wrong secret", "/adfs/oauth2/token", form("client_secret", "wrong"), 401, "invalid_client", "AADSTS7000215"},
		{"no secret", "/adfs/oauth2/token", form("client_secret", ""), 401, "invalid_client", "AADSTS7000215"},
		{"a managed identity", "/adfs/oauth2/token", form("client_id", string(managed.ClientID), "client_secret", ""), 401, "invalid_client", "AADSTS7000215"},
		{"nobody", "/adfs/oauth2/token", form("client_id", "nobody"), 400, "unauthorized_client", "AADSTS700016"},
		{"the object ID", "/adfs/oauth2/token", form("client_id", string(w.Admin.ObjectID)), 400, "unauthorized_client", "AADSTS700016"},
		{"an unknown tenant", "/nobody/oauth2/token", form(), 400, "invalid_request", "AADSTS900023"},
		{"no scope", "/adfs/oauth2/token", form("scope", ""), 400, "invalid_request", "AADSTS900144"},
		{"an unknown grant", "/adfs/oauth2/token", form("grant_type", "magic"), 400, "unsupported_grant_type", "AADSTS70003"},
		{"a client assertion without a type", "/adfs/oauth2/token", form("client_assertion", "x"), 400, "invalid_request", "AADSTS900144"},
		{"a client assertion that is none", "/adfs/oauth2/token", form("client_assertion", "x", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), 401, "invalid_client", "AADSTS700027"},
		{"a body too large", "/adfs/oauth2/token", form("x", strings.Repeat("x", 100_000)), 400, "invalid_request", "AADSTS900144"},
	} {
		a := w.Login(test.path, test.form)
		if a.Header.Get("Retry-After") != "" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: the headers are %v", test.name, a.Header)
		}
		if test.status == 200 {
			checkToken(t, w, test.name, a, test.result)
			continue
		}
		description, _ := a.At("error_description").(string)
		if a.Status != test.status || a.At("error") != test.result || !strings.HasPrefix(description, test.number+": ") {
			t.Errorf("%s: %d %s", test.name, a.Status, a.Body)
		}
		for _, member := range []string{"error_codes", "timestamp", "trace_id", "correlation_id"} {
			if a.At(member) == nil {
				t.Errorf("%s: no %s in %s", test.name, member, a.Body)
			}
		}
	}
	if a := get(w, "/adfs/oauth2/token"); a.Status != 405 {
		t.Errorf("GET: %d %s", a.Status, a.Body)
	}
	req := servertest.Request{Method: http.MethodPost, URL: w.URL("login") + "/adfs/oauth2/token", Body: "grant_type=client_credentials&scope=x/.default",
		Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+password))}}
	checkToken(t, w, "basic", w.Do(req), "x")
}

func checkToken(t *testing.T, w *servertest.World, name string, a servertest.Answer, audience string) {
	t.Helper()
	text, _ := a.At("access_token").(string)
	parts := strings.Split(text, ".")
	if a.Status != 200 || a.At("token_type") != "Bearer" || a.At("expires_in") != 3599.0 || len(parts) != 3 {
		t.Errorf("%s: %d %s", name, a.Status, a.Body)
		return
	}
	var claims map[string]any
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(raw, &claims) != nil || claims["aud"] != audience {
		t.Errorf("%s: the claims are %s", name, raw)
	}
	caller, err := w.Issuer.VerifyIdentity(t.Context(), text, []string{strings.TrimSuffix(audience, "/")})
	if err != nil || caller.ObjectID != identity.ObjectID(w.Admin.ObjectID) {
		t.Errorf("%s: %v, %v", name, caller, err)
	}
}
