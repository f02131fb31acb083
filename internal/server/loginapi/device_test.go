package loginapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/server/servertest"
)

func page(w *servertest.World, form url.Values, header ...string) servertest.Answer {
	head := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for i := 0; i+1 < len(header); i += 2 {
		head[header[i]] = header[i+1]
	}
	return w.Do(servertest.Request{Method: http.MethodPost, URL: w.URL("login") + "/device", Header: head, Body: form.Encode()})
}

// A device shows a code, its user types it with name and password, and the device is in.
func TestDeviceCode(t *testing.T) {
	w := servertest.New(t)
	u := newUser(t, w, "anna@acrux.test")
	scope := w.URL("management") + "/.default offline_access openid profile"
	a := w.Login("/organizations/oauth2/v2.0/devicecode", url.Values{"client_id": {cli}, "scope": {scope}})
	code, _ := a.At("user_code").(string)
	message, _ := a.At("message").(string)
	if a.Status != 200 || a.At("verification_uri") != w.URL("login")+"/device" || a.At("interval") != 5.0 || a.At("expires_in") != 900.0 || !strings.Contains(message, code) {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {cli}, "device_code": {a.At("device_code").(string)}, "code": {a.At("device_code").(string)}, "client_info": {"1"}}
	refused(t, "before", w.Login(endpoint, form), 400, "authorization_pending", "AADSTS70016")
	first := w.Do(servertest.Request{Method: "GET", URL: w.URL("login") + "/device"})
	if first.Status != 200 || !strings.Contains(first.Body, `name="code"`) || strings.Contains(first.Body, "<script") || !strings.Contains(first.Header.Get("Content-Security-Policy"), "default-src 'none'") || first.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("%d %s %v", first.Status, first.Body, first.Header)
	}
	second := page(w, url.Values{"code": {strings.ToLower(strings.ReplaceAll(code, "-", " "))}})
	if second.Status != 200 || !strings.Contains(second.Body, "Azure CLI") || !strings.Contains(second.Body, w.URL("management")) || !strings.Contains(second.Body, `value="`+code+`"`) {
		t.Errorf("%d %s", second.Status, second.Body)
	}
	sign := url.Values{"code": {code}, "username": {"Anna@acrux.test"}, "password": {password}}
	for name, bad := range map[string]servertest.Answer{
		"a wrong password":  page(w, with(sign, "password", "x")),
		"no password":       page(w, with(sign, "password", "")),
		"another code":      page(w, with(sign, "code", "BCDF-GHJK")),
		"no code":           page(w, with(sign, "code", "")),
		"from another site": page(w, sign, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"),
		"from an old one":   page(w, sign, "Origin", "https://evil.example"),
		"too large":         page(w, with(sign, "x", strings.Repeat("x", 100_000))),
	} {
		if bad.Status < 400 || bad.Status >= 500 || !strings.Contains(bad.Body, "<h1>") || strings.Contains(bad.Body, password) {
			t.Errorf("%s: %d %s", name, bad.Status, bad.Body)
		}
	}
	refused(t, "still", w.Login(endpoint, form), 400, "authorization_pending", "AADSTS70016")
	if last := page(w, sign, "Origin", w.URL("login"), "Sec-Fetch-Site", "same-origin"); last.Status != 200 || !strings.Contains(last.Body, "You have signed in") {
		t.Fatalf("%d %s", last.Status, last.Body)
	}
	refused(t, "another program", w.Login(endpoint, with(form, "client_id", "1950a258-227b-4e31-a9cf-717495945fc2")), 400, "expired_token", "AADSTS70019")
	in := w.Login(endpoint, form)
	if in.Status != 200 || in.At("scope") != scope || in.At("refresh_token") == nil || claimsOf(t, in.At("access_token"))["oid"] != string(u.ObjectID) || claimsOf(t, in.At("access_token"))["aud"] != w.URL("management") {
		t.Errorf("%d %s", in.Status, in.Body)
	}
	refused(t, "a second time", w.Login(endpoint, form), 400, "expired_token", "AADSTS70019")
	if again := page(w, sign); again.Status != 404 {
		t.Errorf("the page again: %d %s", again.Status, again.Body)
	}
}

// The page escapes what it shows, and codes are not to be had, or tried, without end.
func TestDevicePage(t *testing.T) {
	w := servertest.New(t)
	evil := `"><script>alert(1)</script>`
	a := w.Login("/adfs/oauth2/devicecode", url.Values{"client_id": {cli}, "resource": {evil}})
	code, _ := a.At("user_code").(string)
	if a.Status != 200 || a.At("verification_url") != w.URL("login")+"/device" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if p := page(w, url.Values{"code": {code}, "username": {evil}, "password": {"x"}}); p.Status != 403 || strings.Contains(p.Body, "<script>") {
		t.Errorf("%d %s", p.Status, p.Body)
	}
	if p := w.Do(servertest.Request{Method: "DELETE", URL: w.URL("login") + "/device"}); p.Status != 405 {
		t.Errorf("DELETE: %d", p.Status)
	}
	refused(t, "no program", w.Login("/adfs/oauth2/devicecode", url.Values{"scope": {"x/.default"}}), 400, "unauthorized_client", "AADSTS700016")
	refused(t, "no scope", w.Login("/adfs/oauth2/devicecode", url.Values{"client_id": {cli}}), 400, "invalid_request", "AADSTS900144")
	refused(t, "an unknown tenant", w.Login("/nobody/oauth2/devicecode", url.Values{"client_id": {cli}, "scope": {"x/.default"}}), 400, "invalid_request", "AADSTS900023")
	status := 0
	for range 100 {
		if status = page(w, url.Values{"code": {"BCDF-GHJK"}}).Status; status != 404 {
			break
		}
	}
	if status != 429 {
		t.Errorf("codes can be tried without end: %d", status)
	}
	ask := url.Values{"client_id": {cli}, "scope": {"x/.default"}}
	last := w.Login("/adfs/oauth2/devicecode", ask)
	for i := 0; i < 100 && last.Status == 200; i++ {
		last = w.Login("/adfs/oauth2/devicecode", ask)
	}
	refused(t, "one more code", last, 400, "invalid_request", "AADSTS50196")
}
