package registryapi_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/server/servertest"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

const nobody = "00000000-0000-0000-0000-000000000000"

// set changes properties of the registry MyRegistry.
func set(w *servertest.World, properties string) {
	w.ARMOK(w.Admin, http.MethodPatch, w.Registry.String(), `{"properties":`+properties+`}`)
}

// passwords are those that listCredentials or regenerateCredential answered.
func passwords(t *testing.T, a servertest.Answer) (first, second string) {
	t.Helper()
	all, _ := a.At("passwords").([]any)
	if a.Status != 200 || a.At("username") != "MyRegistry" || len(all) != 2 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	one, two := all[0].(map[string]any), all[1].(map[string]any)
	if one["name"] != "password" || two["name"] != "password2" {
		t.Fatalf("the passwords are %v", all)
	}
	return one["value"].(string), two["value"].(string)
}

// bearer is the header of a token that the answer has.
func bearer(t *testing.T, a servertest.Answer) string {
	t.Helper()
	want(t, a, 200, "")
	text, _ := a.At("access_token").(string)
	return "Bearer " + text
}

// The admin user does everything in its registry, by every way to sign in; a renewed
// password and a disabled user end it at once, also for tokens from before.
func TestAdminUser(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", servertest.Person{})
	list := w.Registry.String() + "/listCredentials"
	off := w.ARM(w.Admin, "POST", list, "")
	if off.Status != 400 || off.At("error", "code") != "UnAuthorizedForCredentialOperations" {
		t.Errorf("credentials of a disabled user: %d %s", off.Status, off.Body)
	}
	want(t, r.send("GET", "/v2/", "", "Authorization", basic("MyRegistry", "x")), 401, "UNAUTHORIZED")
	want(t, r.send("GET", "/v2/", "", "Authorization", basic("MyRegistry", "")), 401, "UNAUTHORIZED")
	set(w, `{"adminUserEnabled":true}`)
	first, second := passwords(t, w.ARM(w.Admin, "POST", list, ""))
	if again, _ := passwords(t, w.ARM(w.Admin, "POST", list, "")); again != first || first == second || len(first) < 40 {
		t.Errorf("the passwords are %q and %q", first, second)
	}
	scope := "repository:hello:pull,push,delete,metadata_read,metadata_write registry:catalog:*"
	query := "/oauth2/token?" + url.Values{"service": {r.host}, "scope": {scope}}.Encode()
	tokens := func(password string) map[string]string {
		refresh, _ := r.form("/oauth2/exchange", url.Values{"grant_type": {"password"}, "username": {"myregistry"}, "password": {password}}).At("refresh_token").(string)
		return map[string]string{
			"basic":           basic("MyRegistry", password),
			"basic, shouting": basic("MYREGISTRY", password),
			"GET":             bearer(t, r.send("GET", query, "", "Authorization", basic("myregistry", password))),
			"POST":            bearer(t, r.form("/oauth2/token", url.Values{"grant_type": {"password"}, "username": {"MyRegistry"}, "password": {password}, "scope": {scope}})),
			"refresh":         bearer(t, r.form("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "scope": {scope}})),
			"nobody":          basic(nobody, refresh),
		}
	}
	works := func(all map[string]string, status int) {
		t.Helper()
		for name, head := range all {
			for _, path := range []string{"/v2/", "/v2/_catalog", "/v2/hello/manifests/v1", "/acr/v1/hello/_tags"} {
				if a := r.send("GET", path, "", "Authorization", head); a.Status != status {
					t.Errorf("%s at %s: %d %s", name, path, a.Status, a.Body)
				}
			}
			if a := r.send("POST", "/v2/hello/blobs/uploads/?digest="+digestOf("{}"), "{}", "Authorization", head); status == 401 && a.Status != 401 || status == 200 && a.Status != 201 {
				t.Errorf("%s pushes: %d %s", name, a.Status, a.Body)
			}
		}
	}
	of(w, "myregistry", w.Admin).image(t, "hello", "v1", "layer")
	ofFirst, ofSecond := tokens(first), tokens(second)
	works(ofFirst, 200)
	works(ofSecond, 200)
	for _, wrong := range []string{"", "x", first + "x", strings.ToUpper(first), first[:len(first)-1]} {
		want(t, r.send("GET", query, "", "Authorization", basic("MyRegistry", wrong)), 401, "UNAUTHORIZED")
	}
	another := of(w, registryNamed(w, "Another1"), servertest.Person{})
	for name, head := range ofFirst {
		if a := another.send("GET", "/v2/", "", "Authorization", head); a.Status != 401 {
			t.Errorf("%s at another registry: %d %s", name, a.Status, a.Body)
		}
	}

	for body, code := range map[string]string{`{"name":"password3"}`: "InvalidParameterValue", `{}`: "InvalidParameterValue", `{"name":3}`: "InvalidRequestContent", ``: "InvalidRequestContent"} {
		if a := w.ARM(w.Admin, "POST", w.Registry.String()+"/regenerateCredential", body); a.Status != 400 || a.At("error", "code") != code {
			t.Errorf("%s: %d %s", body, a.Status, a.Body)
		}
	}
	renewed, same := passwords(t, w.ARM(w.Admin, "POST", w.Registry.String()+"/regenerateCredential", `{"name":"password"}`))
	if renewed == first || same != second {
		t.Errorf("renewing gave %q, %q", renewed, same)
	}
	works(ofFirst, 401)
	works(ofSecond, 200)
	ofRenewed := tokens(renewed)
	works(ofRenewed, 200)

	set(w, `{"adminUserEnabled":false}`)
	works(ofSecond, 401)
	works(ofRenewed, 401)
	set(w, `{"adminUserEnabled":true}`) // new passwords
	works(ofSecond, 401)
	works(ofRenewed, 401)
	third, _ := passwords(t, w.ARM(w.Admin, "POST", list, ""))
	works(tokens(third), 200)

	// A contributor may list; who may only read or pull may not.
	passwords(t, w.ARM(w.Person("contributor", "Contributor", w.Registry), "POST", list, ""))
	for _, role := range []string{"Reader", "AcrPush"} {
		if a := w.ARM(w.Person(role, role, w.Registry), "POST", list, ""); a.Status != 403 {
			t.Errorf("%s: %d", role, a.Status)
		}
	}
	for _, password := range []string{first, second, renewed, third} {
		if a := w.ARM(w.Admin, "GET", w.Registry.String(), ""); strings.Contains(a.Body, password) {
			t.Error("the document shows a password")
		}
		notInFiles(t, w.Dir, password)
	}
}

// notInFiles fails the test if a file below dir has the text.
func notInFiles(t *testing.T, dir, text string) {
	t.Helper()
	read := 0
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(text)) {
			t.Errorf("%s has a password", path)
		}
		read += len(content)
		return err
	}))
	if read < 1000 && !sqlstoretest.Postgres() { // whose files are elsewhere
		t.Errorf("%d bytes were looked at", read)
	}
}

// Events name the admin user.
func TestAdminInEvents(t *testing.T) {
	w := servertest.New(t)
	set(w, `{"adminUserEnabled":true}`)
	first, _ := passwords(t, w.ARM(w.Admin, "POST", w.Registry.String()+"/listCredentials", ""))
	r := of(w, "myregistry", servertest.Person{})
	of(w, "myregistry", w.Admin).image(t, "hello", "v1", "layer")
	want(t, r.send("DELETE", "/acr/v1/hello/_tags/v1", "", "Authorization", basic("myregistry", first)), 202, "")
	equal(t, strings.Join(sqlstoretest.Texts(t, w.Database, `SELECT actor FROM events WHERE action = 'delete'`), " "), "MyRegistry")
}

// Where anonymous pull is enabled nobody pulls, with a token or without one, and does
// nothing else; when it is switched off the token is worth nothing.
func TestAnonymousPull(t *testing.T) {
	w := servertest.New(t)
	admin := of(w, "myregistry", w.Admin)
	admin.image(t, "hello", "v1", "layer")
	r := of(w, "myregistry", servertest.Person{})
	routes := []struct {
		method, path string
		status       int // with anonymous pull
	}{
		{"GET", "/v2/hello/manifests/v1", 200}, {"HEAD", "/v2/hello/manifests/v1", 200}, {"GET", "/v2/hello/blobs/" + digestOf("layer"), 200}, {"GET", "/v2/hello/tags/list", 200},
		{"GET", "/v2/hello/referrers/" + digestOf("none"), 200}, {"GET", "/v2/hello/manifests/none", 404}, {"GET", "/v2/nobody/tags/list", 404},
		{"GET", "/v2/_catalog", 401}, {"GET", "/acr/v1/_catalog", 401}, {"GET", "/acr/v1/hello", 200}, {"GET", "/acr/v1/hello/_tags", 200},
		{"GET", "/acr/v1/hello/_tags/v1", 200}, {"GET", "/acr/v1/hello/_manifests", 200},
		{"GET", "/acr/v1/hello/_manifests/" + digestOf("none"), 404},
		{"DELETE", "/acr/v1/hello/_tags/v1", 401}, {"PATCH", "/acr/v1/hello/_tags/v1", 401}, {"POST", "/acr/v1/hello/_purge", 401},
		{"GET", "/acr/v1/_deleted/hello/_tags", 401},
		{"GET", "/acr/v1/_deleted/_catalog", 401}, {"PATCH", "/acr/v1/hello", 401}, {"DELETE", "/acr/v1/hello", 401}, {"DELETE", "/v2/hello/manifests/v1", 401}, {"DELETE", "/v2/hello/blobs/" + digestOf("layer"), 401},
		{"PUT", "/v2/hello/manifests/v2", 401}, {"POST", "/v2/hello/blobs/uploads/", 401}, {"POST", "/v2/new/blobs/uploads/?from=hello&mount=" + digestOf("layer"), 401},
		{"GET", "/v2/hello/blobs/uploads/x", 401}, {"PATCH", "/v2/hello/blobs/uploads/x", 401}, {"PUT", "/v2/hello/blobs/uploads/x", 401}, {"DELETE", "/v2/hello/blobs/uploads/x", 401},
	}
	scopes := "/oauth2/token?scope=repository:hello:*+repository:nobody:pull+registry:catalog:*&service=" + r.host
	try := func(head string, enabled bool) {
		t.Helper()
		for _, route := range routes {
			status := 401
			if enabled {
				status = route.status
			}
			a := w.Do(servertest.Request{Method: route.method, URL: "https://" + r.host + route.path, Header: map[string]string{"Authorization": head}})
			if a.Status != status || status == 401 && a.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s with %.10s: %d %s", route.method, route.path, head, a.Status, a.Body)
			}
		}
	}
	try("", false)
	want(t, w.Do(servertest.Request{Method: "GET", URL: "https://" + r.host + scopes}), 401, "UNAUTHORIZED")
	set(w, `{"anonymousPullEnabled":true}`)
	try("", true)
	a := w.Do(servertest.Request{Method: "GET", URL: "https://" + r.host + scopes})
	head := bearer(t, a)
	_, access, err := w.Issuer.VerifyAccess(t.Context(), strings.TrimPrefix(head, "Bearer "), "myregistry")
	must(t, err)
	equal(t, asJSON(t, access), any([]any{map[string]any{"type": "repository", "name": "hello", "actions": []any{"pull", "metadata_read"}}, map[string]any{"type": "repository", "name": "nobody", "actions": []any{"pull"}}}))
	try(head, true)
	// The challenge that clients need to sign in stays; the token is answered.
	want(t, w.Do(servertest.Request{Method: "GET", URL: "https://" + r.host + "/v2/"}), 401, "UNAUTHORIZED")
	want(t, r.send("GET", "/v2/", "", "Authorization", head), 200, "")
	// Who signs in wrongly is not nobody.
	for _, bad := range []string{basic("who", "ever"), "Bearer x", "Negotiate x", "Basic !"} {
		want(t, r.send("GET", "/v2/hello/manifests/v1", "", "Authorization", bad), 401, "UNAUTHORIZED")
		want(t, r.send("GET", scopes, "", "Authorization", bad), 401, "UNAUTHORIZED")
	}
	want(t, of(w, registryNamed(w, "Another1"), r.person).send("GET", "/v2/hello/manifests/v1", "", "Authorization", head), 401, "UNAUTHORIZED")
	set(w, `{"anonymousPullEnabled":false}`)
	try("", false)
	try(head, false)
	want(t, r.send("GET", "/v2/", "", "Authorization", head), 401, "UNAUTHORIZED")
}

// Tokens that open nothing: each of another kind, maker, time, registry or purpose.
func TestTokensRefused(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	r.image(t, "hello", "v1", "layer")
	another := of(w, registryNamed(w, "Another1"), w.Admin)
	another.image(t, "hello", "v1", "layer")
	scope := "/oauth2/token?scope=repository:hello:pull"
	good := strings.TrimPrefix(bearer(t, r.send("GET", scope, "")), "Bearer ")
	elsewhere := strings.TrimPrefix(bearer(t, another.send("GET", scope, "")), "Bearer ")
	refresh, _ := r.exchange(t, w.URL("management")).At("refresh_token").(string)
	refreshElsewhere, _ := another.exchange(t, w.URL("management")).At("refresh_token").(string)
	expired, err := w.Issuer.Access("myregistry", token.Subject{Principal: w.Admin.ObjectID}, nil, time.Now().Add(-2*time.Hour))
	must(t, err)
	future, err := w.Issuer.Access("myregistry", token.Subject{Principal: w.Admin.ObjectID}, nil, time.Now().Add(2*time.Hour))
	must(t, err)
	parts := strings.Split(good, ".")
	claims := jwt.MapClaims{}
	_, _, err = jwt.NewParser().ParseUnverified(good, claims)
	must(t, err)
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, claims).SignedString(jwt.UnsafeAllowNoneSignatureType)
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	forged, err := jwt.NewWithClaims(jwt.SigningMethodES256, claims).SignedString(key)
	must(t, err)
	shared, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte("key"))
	must(t, err)
	want(t, r.send("GET", "/v2/hello/manifests/v1", "", "Authorization", "Bearer "+good), 200, "")
	for name, text := range map[string]string{
		"another registry's": elsewhere, "a refresh token": refresh, "an identity token": w.Token(w.Admin), "expired": expired, "not yet": future,
		"alg none": none, "another key": forged, "a shared key": shared, "no signature": parts[0] + "." + parts[1] + ".", "cut": good[:len(good)-5],
		"other claims": parts[0] + "." + strings.Split(elsewhere, ".")[1] + "." + parts[2], "empty": "", "rubbish": "a.b.c",
	} {
		a := r.send("GET", "/v2/hello/manifests/v1", "", "Authorization", "Bearer "+text)
		if a.Status != 401 || errorCode(a) != "UNAUTHORIZED" || !strings.Contains(a.Header.Get("WWW-Authenticate"), `scope="repository:hello:pull"`) {
			t.Errorf("%s as an access token: %d %s", name, a.Status, a.Body)
		}
		if name == "a refresh token" {
			text = good
		}
		for _, a := range []servertest.Answer{r.form("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text}}),
			r.send("GET", scope, "", "Authorization", basic(nobody, text)), r.send("GET", "/v2/", "", "Authorization", basic(nobody, text))} {
			if a.Status != 401 || errorCode(a) != "UNAUTHORIZED" {
				t.Errorf("%s as a refresh token: %d %s", name, a.Status, a.Body)
			}
		}
		if name == "an identity token" {
			text = refresh
		}
		if a := r.form("/oauth2/exchange", url.Values{"grant_type": {"access_token"}, "access_token": {text}}); a.Status != 401 {
			t.Errorf("%s as an identity token: %d %s", name, a.Status, a.Body)
		}
	}
	want(t, r.form("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshElsewhere}}), 401, "UNAUTHORIZED")
}

// The details of the token service: what a request was meant for, what it asks for,
// az-wire 12.2.
func TestTokenRequests(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	w.NewRegistry("Another1")
	identity := w.Token(w.Admin)
	refresh, _ := r.exchange(t, w.URL("management")).At("refresh_token").(string)
	exchange := func(more ...string) url.Values {
		form := url.Values{"grant_type": {"access_token"}, "access_token": {identity}}
		for i := 0; i+1 < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		return form
	}
	for _, test := range []struct {
		name, path string
		form       url.Values
		status     int
		code       string
	}{
		{"of the SDKs", "/oauth2/exchange?api-version=2021-07-01", exchange("service", r.host, "tenant", servertest.Tenant), 200, ""},
		{"with a refresh token beside", "/oauth2/exchange", exchange("grant_type", "access_token_refresh_token", "refresh_token", "x"), 200, ""},
		{"as a refresh token", "/oauth2/exchange", exchange("grant_type", "refresh_token", "refresh_token", "x"), 200, ""},
		{"a refresh token alone", "/oauth2/exchange", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}, 405, "UNSUPPORTED"},
		{"a password", "/oauth2/exchange", url.Values{"grant_type": {"password"}, "username": {string(w.Admin.ClientID)}, "password": {w.Admin.Secret}}, 200, ""},
		{"a wrong password", "/oauth2/exchange", url.Values{"grant_type": {"password"}, "username": {string(w.Admin.ClientID)}, "password": {"x"}}, 401, "UNAUTHORIZED"},
		{"no grant", "/oauth2/exchange", url.Values{}, 400, "UNSUPPORTED_GRANT_TYPE"},
		{"the service under another name", "/oauth2/exchange", exchange("service", "MyRegistry.azurecr.io"), 200, ""},
		{"the service without its port", "/oauth2/exchange", exchange("service", "myregistry.azurecr."+servertest.Domain), 200, ""},
		{"another registry", "/oauth2/exchange", exchange("service", w.LoginServer("Another1")), 400, "INVALID_REQUEST"},
		{"another service", "/oauth2/exchange", exchange("service", "registry.example"), 400, "INVALID_REQUEST"},
		{"any tenant", "/oauth2/exchange", exchange("tenant", "Common"), 200, ""},
		{"another tenant", "/oauth2/exchange", exchange("tenant", nobody), 401, "UNAUTHORIZED"},
		{"an access token", "/oauth2/token?api-version=2021-07-01", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "service": {r.host}, "client_id": {"docker"}}, 200, ""},
		{"an access token elsewhere", "/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "service": {w.LoginServer("Another1")}}, 400, "INVALID_REQUEST"},
		{"an identity token for an access token", "/oauth2/token", exchange(), 400, "UNSUPPORTED_GRANT_TYPE"},
		{"a long form", "/oauth2/token", url.Values{"x": {strings.Repeat("x", 70_000)}}, 400, "INVALID_REQUEST"},
	} {
		if a := r.form(test.path, test.form); a.Status != test.status || errorCode(a) != test.code {
			t.Errorf("%s: %d %s", test.name, a.Status, a.Body)
		}
	}
	for _, test := range []struct{ scope, granted string }{
		{"registry:None:*", ""},
		{"registry:catalog:pull", ""},
		{"registry:catalog:*", "registry:catalog:*"},
		{"repository:hello:quarantine_read,deleted_read,deleted_restore,pull", "repository:hello:deleted_read,deleted_restore,pull"},
		{"registry:deleted_catalog:*", "registry:deleted_catalog:*"},
		{"repository:*:pull,delete registry:*:* repository:a*:pull", "repository:*:pull,delete"},
		{"repository:Hello:pull repository:../x:pull repository::pull", ""},
		{"plugin:hello:pull", ""},
		{"repository:a/b:pull,push&scope=repository:c:delete", "repository:a/b:pull,push repository:c:delete"},
		{"", ""},
	} {
		a := r.send("GET", "/oauth2/token?offline_token=true&account=x&scope="+strings.ReplaceAll(test.scope, " ", "%20"), "")
		_, access, err := w.Issuer.VerifyAccess(t.Context(), strings.TrimPrefix(bearer(t, a), "Bearer "), "myregistry")
		must(t, err)
		var got []string
		for _, one := range access {
			got = append(got, one.String())
		}
		equal(t, strings.Join(got, " "), test.granted)
	}
	for _, test := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/v2", 200}, {"GET", "/v2/", 200}, {"HEAD", "/v2/", 200}, {"HEAD", "/v2", 200}, {"POST", "/v2/", 405}, {"GET", "/v2/?api-version=2021-07-01", 200},
		{"HEAD", "/oauth2/token", 405}, {"DELETE", "/oauth2/token", 405}, {"PUT", "/oauth2/exchange", 405},
	} {
		if a := r.send(test.method, test.path, ""); a.Status != test.status {
			t.Errorf("%s %s: %d %s", test.method, test.path, a.Status, a.Body)
		}
	}
	for _, path := range []string{"/v2/", "/oauth2/token", "/acr/v1/_catalog", "/"} {
		want(t, of(w, "nobody1", w.Admin).send("GET", path, ""), 404, "NAME_UNKNOWN")
	}
}
