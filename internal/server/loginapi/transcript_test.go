package loginapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/server/servertest"
)

// What the stock CLI and the SDKs send to sign in, and what they are answered.
func TestTranscript(t *testing.T) {
	w := servertest.New(t)
	newUser(t, w, "anna@acrux.test")
	tr := w.NewTranscript()
	names := map[string]string{"{ARM}": w.URL("management"), "{GRAPH}": w.URL("graph"), "{CLI}": cli, "{APP}": string(w.Admin.ClientID), "{SECRET}": w.Admin.Secret, "{T}": servertest.Tenant, "{PASSWORD}": password}
	send := func(title, method, path string, pairs ...string) servertest.Answer {
		form, line := url.Values{}, []string{}
		for _, pair := range pairs {
			name, value, _ := strings.Cut(pair, "=")
			for from, to := range names {
				value = strings.ReplaceAll(value, from, to)
			}
			form.Set(name, value)
			line = append(line, pair)
		}
		full := strings.ReplaceAll(path, "{T}", servertest.Tenant)
		a := w.Do(servertest.Request{Method: method, URL: w.URL("login") + full, Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, Body: form.Encode()})
		if strings.HasPrefix(a.Body, "<") {
			a.Body = "(a page)"
		}
		tr.Add(title, method+" "+path+" "+strings.Join(line, " "), a, "Content-Type", "Cache-Control", "Retry-After")
		return a
	}
	const caps, user = `claims={"access_token":{"xms_cc":{"values":["CP1"]}}}`, "scope={ARM}/.default offline_access openid profile"
	send("login: configuration", http.MethodGet, "/adfs/.well-known/openid-configuration")
	send("login of the SDK: configuration", http.MethodGet, "/{T}/v2.0/.well-known/openid-configuration")
	send("login with the name of a tenant", http.MethodGet, "/adfs/nobody.example/.well-known/openid-configuration")
	send("instance discovery", http.MethodGet, "/common/discovery/instance?api-version=1.1&authorization_endpoint=https://login.acrux.test/common/oauth2/v2.0/authorize")
	send("login --service-principal", http.MethodPost, "/adfs/oauth2/token", "grant_type=client_credentials", "client_id={APP}", "client_secret={SECRET}", "scope={ARM}/.default", "client_info=1", caps)
	send("login --service-principal with a wrong secret", http.MethodPost, "/adfs/oauth2/token", "grant_type=client_credentials", "client_id={APP}", "client_secret=wrong", "scope={ARM}/.default", "client_info=1", caps)
	send("login --service-principal of nobody", http.MethodPost, "/adfs/oauth2/token", "grant_type=client_credentials", "client_id=nobody", "client_secret=wrong", "scope={ARM}/.default", "client_info=1", caps)
	send("a client of the first version", http.MethodPost, "/{T}/oauth2/token", "grant_type=client_credentials", "client_id={APP}", "client_secret={SECRET}", "resource={ARM}/")
	send("login -u: realm", http.MethodGet, "/common/userrealm/anna@acrux.test?api-version=1.0")
	send("login -u with a wrong password", http.MethodPost, "/adfs/oauth2/token", "grant_type=password", "client_id={CLI}", "username=anna@acrux.test", "password=wrong", user, "client_info=1", caps)
	a := send("login -u", http.MethodPost, "/adfs/oauth2/token", "grant_type=password", "client_id={CLI}", "username=anna@acrux.test", "password={PASSWORD}", user, "client_info=1", caps)
	names["{REFRESH}"], _ = a.At("refresh_token").(string)
	send("role assignment list: a token for the directory", http.MethodPost, "/adfs/oauth2/token", "grant_type=refresh_token", "client_id={CLI}", "refresh_token={REFRESH}", "scope={GRAPH}/.default offline_access openid profile", "client_info=1", caps)
	send("a refresh token that has ended", http.MethodPost, "/adfs/oauth2/token", "grant_type=refresh_token", "client_id={CLI}", "refresh_token=acrux_rt_x", user)
	d := send("login --use-device-code", http.MethodPost, "/adfs/oauth2/devicecode", "client_id={CLI}", user)
	names["{DEVICE}"], _ = d.At("device_code").(string)
	poll := []string{"grant_type=urn:ietf:params:oauth:grant-type:device_code", "client_id={CLI}", "code={DEVICE}", "device_code={DEVICE}", "client_info=1"}
	send("login --use-device-code: not yet", http.MethodPost, "/adfs/oauth2/token", poll...)
	names["{CODE}"], _ = d.At("user_code").(string)
	send("the page, with the code", http.MethodPost, "/device", "code={CODE}")
	send("the page, with name and password", http.MethodPost, "/device", "code={CODE}", "username=anna@acrux.test", "password={PASSWORD}")
	send("login --use-device-code: now", http.MethodPost, "/adfs/oauth2/token", poll...)
	send("login --use-device-code: again", http.MethodPost, "/adfs/oauth2/token", poll...)
	send("login by browser", http.MethodGet, "/adfs/oauth2/authorize?client_id=x")
	servertest.Golden(t, "transcript.golden", tr.String())
}
