package registryapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/server/registryapi"
	"github.com/acrux/acrux/internal/server/servertest"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

// permit makes or changes a scope map of MyRegistry: actions are given as
// "hello content/read".
func permit(w *servertest.World, scopeMap string, actions ...string) {
	var all []string
	for _, action := range actions {
		all = append(all, "repositories/"+strings.Replace(action, " ", "/", 1))
	}
	text, _ := json.Marshal(map[string]any{"properties": map[string]any{"actions": all}}) // always encodes
	w.ARMOK(w.Admin, http.MethodPut, w.Registry.Child("scopeMaps", scopeMap).String(), string(text))
}

// newToken makes a token of MyRegistry with a scope map, and returns its first password.
func newToken(t *testing.T, w *servertest.World, name, scopeMap string) string {
	t.Helper()
	w.ARMOK(w.Admin, http.MethodPut, w.Registry.Child("tokens", name).String(), `{"properties":{"scopeMapId":"`+w.Registry.Child("scopeMaps", scopeMap).String()+`"}}`)
	return newPassword(t, w, name, `"name":"password1"`)
}

// newPassword generates passwords of a token and returns the first.
func newPassword(t *testing.T, w *servertest.World, name, more string) string {
	t.Helper()
	a := w.ARMOK(w.Admin, http.MethodPost, w.Registry.String()+"/generateCredentials", `{"tokenId":"`+w.Registry.Child("tokens", name).String()+`",`+more+`}`)
	all, _ := a.At("passwords").([]any)
	text, _ := all[0].(map[string]any)["value"].(string)
	return text
}

// update changes a token of MyRegistry.
func update(w *servertest.World, name, properties string) {
	w.ARMOK(w.Admin, http.MethodPatch, w.Registry.Child("tokens", name).String(), `{"properties":`+properties+`}`)
}

var scopedVerbs = []string{"content/read", "content/write", "content/delete", "metadata/read", "metadata/write"}

// scopedRoutes are the routes of the data plane about the repository hello, with the verbs
// that they take; "-" is none that there is.
var scopedRoutes = []struct{ method, path, verbs string }{
	{"GET", "/v2/", ""}, {"GET", "/v2/_catalog", ""}, {"GET", "/acr/v1/_catalog", ""},
	{"GET", "/v2/hello/manifests/none", "content/read"}, {"HEAD", "/v2/hello/manifests/none", "content/read"}, {"GET", "/v2/hello/blobs/" + digestOf("none"), "content/read"},
	{"HEAD", "/v2/hello/blobs/" + digestOf("none"), "content/read"}, {"GET", "/v2/hello/tags/list", "content/read"}, {"GET", "/v2/hello/referrers/" + digestOf("none"), "content/read"},
	{"PUT", "/v2/hello/manifests/none", "content/read content/write"}, {"POST", "/v2/hello/blobs/uploads/?digest=none", "content/read content/write"}, {"POST", "/v2/hello/blobs/uploads/?mount=" + digestOf("none"), "content/read content/write"},
	{"PATCH", "/v2/hello/blobs/uploads/none", "content/read content/write"}, {"PUT", "/v2/hello/blobs/uploads/none", "content/read content/write"},
	{"GET", "/v2/hello/blobs/uploads/none", "content/read content/write"}, {"DELETE", "/v2/hello/blobs/uploads/none", "content/read content/write"},
	{"DELETE", "/v2/hello/manifests/none", "content/delete"}, {"DELETE", "/v2/hello/blobs/" + digestOf("none"), "content/delete"},
	{"DELETE", "/acr/v1/hello", "content/delete"}, {"DELETE", "/acr/v1/hello/_tags/none", "content/delete"}, {"DELETE", "/acr/v1/hello/_manifests/" + digestOf("none"), "content/delete"},
	{"GET", "/acr/v1/hello", "metadata/read"}, {"GET", "/acr/v1/hello/_tags", "metadata/read"}, {"GET", "/acr/v1/hello/_tags/none", "metadata/read"},
	{"GET", "/acr/v1/hello/_manifests", "metadata/read"}, {"GET", "/acr/v1/hello/_manifests/" + digestOf("none"), "metadata/read"},
	{"PATCH", "/acr/v1/hello", "metadata/write"}, {"PATCH", "/acr/v1/hello/_tags/none", "metadata/write"}, {"PATCH", "/acr/v1/hello/_manifests/" + digestOf("none"), "metadata/write"},
	{"POST", "/acr/v1/hello/_purge", "content/delete metadata/read"},
	{"GET", "/acr/v1/_deleted/_catalog", "-"}, {"GET", "/acr/v1/_deleted/hello/_tags", "-"}, {"GET", "/acr/v1/_deleted/hello/_manifests", "-"}, {"POST", "/acr/v1/_deleted/hello/_manifests/none", "-"},
}

// The table above has every route of the data plane.
func TestScopedRoutesAreAll(t *testing.T) {
	var tried []string
	for _, r := range scopedRoutes {
		tried = append(tried, r.method+" "+strings.SplitN(r.path, "?", 2)[0])
	}
	if missing := registryapi.Untried(tried); len(missing) > 0 {
		t.Errorf("not tried: %v", missing)
	}
}

// Each action of a scope map opens its routes, in its repository, and nothing else: with
// Basic, and with an access token that was asked for everything.
func TestScopedMatrix(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", servertest.Person{})
	maps := [][]string{{}, {"content/read"}, {"content/write"}, {"content/delete"}, {"metadata/read"}, {"metadata/write"}, {"content/read", "content/write"}, {"content/delete", "metadata/read"}, scopedVerbs}
	for i, verbs := range maps {
		name := fmt.Sprintf("token-%d", i)
		var exact, below []string
		for _, verb := range verbs {
			exact, below = append(exact, "hello "+verb), append(below, "hello/* "+verb, "help "+verb, "hello2 "+verb)
		}
		permit(w, name, exact...)
		permit(w, name+"-below", below...)
		password := newToken(t, w, name, name)
		outside := newToken(t, w, name+"-below", name+"-below")
		asked := "/oauth2/token?scope=repository:hello:*+registry:catalog:*+registry:deleted_catalog:*"
		for head, inside := range map[string]bool{
			basic(name, password): true, bearer(t, r.send("GET", asked, "", "Authorization", basic(name, password))): true,
			basic(name+"-below", outside): false, bearer(t, r.send("GET", asked, "", "Authorization", basic(name+"-below", outside))): false,
		} {
			for _, route := range scopedRoutes {
				permitted := true
				for _, verb := range strings.Fields(route.verbs) {
					permitted = permitted && inside && strings.Contains(strings.Join(verbs, " "), verb)
				}
				a := r.send(route.method, route.path, "", "Authorization", head)
				denied := deniedBy(a)
				if denied == permitted || a.Status == http.StatusUnauthorized && !denied || a.Status >= 500 {
					t.Errorf("%v, inside: %t, %.6s: %s %s answers %d %s", verbs, inside, head, route.method, route.path, a.Status, a.Body)
				}
			}
		}
	}
}

// A refusal says what is missing where, and which command would help; of a scope map that
// nobody can change as well.
func TestScopedDenial(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", servertest.Person{})
	permit(w, "MyMap", "hello content/read")
	head := basic("mytoken", newToken(t, w, "MyToken", "MyMap"))
	says := func(a servertest.Answer, texts ...string) {
		t.Helper()
		if !deniedBy(a) {
			t.Errorf("not a denial: %d %s", a.Status, a.Body)
		}
		for _, text := range texts {
			if !strings.Contains(a.Body, text) {
				t.Errorf("%s does not say %q", a.Body, text)
			}
		}
	}
	says(r.send("GET", "/v2/team/app/manifests/v1", "", "Authorization", head), "'MyToken'", "'team/app'", "'content/read'", "'MyMap'", "az acr scope-map update --registry MyRegistry --name MyMap --add-repository team/app content/read")
	says(r.send("PUT", "/v2/hello/manifests/v1", "", "Authorization", head), "az acr scope-map update --registry MyRegistry --name MyMap --add-repository hello content/write")
	says(r.send("GET", "/acr/v1/_deleted/hello/_tags", "", "Authorization", head), "'MyToken'", "'deleted_read'", "no action for it")
	update(w, "MyToken", `{"scopeMapId":"`+w.Registry.Child("scopeMaps", "_repositories_pull").String()+`"}`)
	says(r.send("DELETE", "/acr/v1/hello", "", "Authorization", head), "'_repositories_pull'", "az acr scope-map create --registry MyRegistry --name NAME --repository hello content/delete", "az acr token update --registry MyRegistry --name MyToken --scope-map NAME")
}

// ways are all ways to be somebody with a user name and a password.
func ways(t *testing.T, r registry, user, password string) map[string]string {
	t.Helper()
	form := func(path, member string, values url.Values) string {
		values.Set("service", r.host)
		text, _ := r.form(path, values).At(member).(string)
		return text
	}
	scope := "repository:hello:* repository:secret:* registry:catalog:*"
	query := "/oauth2/token?" + url.Values{"service": {r.host}, "scope": {scope}, "account": {user}}.Encode()
	refresh := form("/oauth2/exchange", "refresh_token", url.Values{"grant_type": {"password"}, "username": {user}, "password": {password}})
	return map[string]string{
		"basic": basic(user, password), "basic, shouting": basic(strings.ToUpper(user), password),
		"GET":     bearer(t, r.send("GET", query, "", "Authorization", basic(user, password))),
		"POST":    "Bearer " + form("/oauth2/token", "access_token", url.Values{"grant_type": {"password"}, "username": {user}, "password": {password}, "scope": {scope}}),
		"refresh": "Bearer " + form("/oauth2/token", "access_token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "scope": {scope}}),
		"nobody":  basic(nobody, refresh),
	}
}

// A token signs in by every way at its registry and at no other host, and whatever ends
// its right ends it at once: another scope map or other actions, a switch, a new password,
// an expiry, its end.
func TestScopedToken(t *testing.T) {
	w := servertest.New(t)
	of(w, "myregistry", w.Admin).image(t, "hello", "v1", "layer")
	of(w, "myregistry", w.Admin).image(t, "secret", "v1", "another layer")
	r := of(w, "myregistry", servertest.Person{})
	permit(w, "MyMap", "hello content/read")
	permit(w, "OtherMap", "secret content/read")
	password := newToken(t, w, "MyToken", "MyMap")
	all := ways(t, r, "MyToken", password)
	try := func(what string, all map[string]string, hello, secret int) {
		t.Helper()
		for name, head := range all {
			for path, status := range map[string]int{"/v2/hello/manifests/v1": hello, "/v2/hello/blobs/" + digestOf("layer"): hello, "/v2/secret/manifests/v1": secret} {
				// An access token from before does not cover what was permitted since.
				covered := strings.HasPrefix(head, "Basic") || status != 200 || what == "at first"
				if a := r.send("GET", path, "", "Authorization", head); a.Status != status && (covered || a.Status != 401) {
					t.Errorf("%s, %s at %s: %d %s", what, name, path, a.Status, a.Body)
				}
			}
		}
	}
	try("at first", all, 200, 403)
	base := func(status int) {
		t.Helper()
		for name, head := range all {
			if a := r.send("GET", "/v2/", "", "Authorization", head); a.Status != status {
				t.Errorf("%s at /v2/: %d %s", name, a.Status, a.Body)
			}
		}
	}
	base(200)
	permit(w, "MyMap", "hello content/write", "secret metadata/read")
	try("other actions", all, 403, 403)
	update(w, "MyToken", `{"scopeMapId":"`+w.Registry.Child("scopeMaps", "OtherMap").String()+`"}`)
	try("another scope map", all, 403, 200)
	update(w, "MyToken", `{"scopeMapId":"`+w.Registry.Child("scopeMaps", "MyMap").String()+`"}`)
	permit(w, "MyMap", "* content/read")
	try("everything", all, 200, 200)
	permit(w, "MyMap", "hello content/read")
	update(w, "MyToken", `{"status":"disabled"}`)
	try("disabled", all, 401, 401)
	base(401)
	if a := r.send("GET", "/oauth2/token", "", "Authorization", basic("MyToken", password)); a.Status != 401 || !strings.Contains(a.Body, "az acr token update --registry MyRegistry --name MyToken --status enabled") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	want(t, r.form("/oauth2/exchange", url.Values{"grant_type": {"password"}, "username": {"MyToken"}, "password": {password}}), 401, "UNAUTHORIZED")
	update(w, "MyToken", `{"status":"enabled"}`)
	try("enabled", all, 200, 403)
	renewed := newPassword(t, w, "MyToken", `"name":"password2"`)
	try("the other password is made", all, 200, 403)
	others := ways(t, r, "MyToken", renewed)
	newPassword(t, w, "MyToken", `"name":"password1"`)
	try("renewed", all, 401, 401)
	base(401)
	try("the other password", others, 200, 403)
	update(w, "MyToken", `{"credentials":{"passwords":[{"name":"password1"}]}}`)
	try("dropped", others, 401, 401)

	another := of(w, registryNamed(w, "Another1"), servertest.Person{})
	last := newPassword(t, w, "MyToken", `"name":"password2"`)
	all = ways(t, r, "MyToken", last)
	try("a last one", all, 200, 403)
	for name, head := range all {
		if a := another.send("GET", "/v2/", "", "Authorization", head); a.Status != 401 {
			t.Errorf("%s at another registry: %d %s", name, a.Status, a.Body)
		}
		for _, host := range []string{"management", "graph"} {
			if a := w.Do(servertest.Request{Method: "GET", URL: w.URL(host) + w.Registry.String() + "?api-version=2023-07-01", Header: map[string]string{"Authorization": head}}); a.Status != 401 {
				t.Errorf("%s at the %s host: %d %s", name, host, a.Status, a.Body)
			}
		}
	}
	for _, grant := range []url.Values{{"grant_type": {"client_credentials"}, "client_id": {"MyToken"}, "client_secret": {last}}, {"grant_type": {"password"}, "client_id": {"04b07795-8ddb-461a-bbee-02f9e1bf7b46"}, "username": {"MyToken"}, "password": {last}}} {
		grant.Set("scope", w.URL("management")+"/.default")
		if a := w.Login("/"+servertest.Tenant+"/oauth2/v2.0/token", grant); a.Status != 400 && a.Status != 401 {
			t.Errorf("at the login host: %d %s", a.Status, a.Body)
		}
	}
	w.ARMOK(w.Admin, "DELETE", w.Registry.Child("tokens", "MyToken").String(), "")
	try("deleted", all, 401, 401)
	newToken(t, w, "MyToken", "MyMap")
	try("made anew", all, 401, 401)
	for _, secret := range []string{password, renewed, last} {
		notInFiles(t, w.Dir, secret)
	}
}

// A password counts until it expires, by the clock of the request, for access tokens too.
func TestScopedExpiry(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", servertest.Person{})
	permit(w, "MyMap", "hello content/read")
	newToken(t, w, "MyToken", "MyMap")
	expiry := time.Now().Add(time.Hour)
	password := newPassword(t, w, "MyToken", `"name":"password1","expiry":"`+expiry.UTC().Format(time.RFC3339Nano)+`"`)
	want(t, r.send("GET", "/v2/", "", "Authorization", basic("MyToken", password)), 200, "")
	grant, err := w.Tokens.Grant(t.Context(), w.Registry, "mytoken")
	must(t, err)
	for offset, counts := range map[time.Duration]bool{-time.Hour: true, -time.Second: true, 0: false, time.Hour: false} {
		mark, verdict := grant.SignIn(password, expiry.Add(offset))
		again, _ := grant.Holds(mark, expiry.Add(offset))
		if (verdict.String() == "counts") != counts || again != verdict {
			t.Errorf("%s after the expiry: %s, %s", offset, verdict, again)
		}
	}
}

// The catalogue has what the token may read, page by page, and none of the others' names.
func TestScopedCatalogue(t *testing.T) {
	w := servertest.New(t)
	admin := of(w, "myregistry", w.Admin)
	for _, name := range []string{"a", "b", "team/a", "team/b", "team/deep/c", "teams", "z"} {
		admin.image(t, name, "v1", "layer")
	}
	r := of(w, "myregistry", servertest.Person{})
	permit(w, "MyMap", "a content/write", "b content/delete", "team/* metadata/read", "z content/read", "none content/read")
	head := basic("MyToken", newToken(t, w, "MyToken", "MyMap"))
	for path, body := range map[string]string{
		"/v2/_catalog": `{"repositories":["team/a","team/b","team/deep/c","z"]}`, "/acr/v1/_catalog": `{"repositories":["team/a","team/b","team/deep/c","z"]}`,
		"/v2/_catalog?last=team/b": `{"repositories":["team/deep/c","z"]}`, "/v2/_catalog?n=0": `{"repositories":[]}`, "/v2/_catalog?last=z": `{"repositories":[]}`,
	} {
		a := r.send("GET", path, "", "Authorization", head)
		want(t, a, 200, "")
		equal(t, a.Body, body)
		equal(t, a.Header.Get("Link"), "")
	}
	var pages []string
	for next := "/v2/_catalog?n=2"; next != ""; {
		a := r.send("GET", next, "", "Authorization", head)
		want(t, a, 200, "")
		pages = append(pages, a.Body)
		_, rest, _ := strings.Cut(a.Header.Get("Link"), "<")
		next, _, _ = strings.Cut(rest, ">")
	}
	equal(t, pages, []string{`{"repositories":["team/a","team/b"]}`, `{"repositories":["team/deep/c","z"]}`})
	permit(w, "MyMap")
	equal(t, r.send("GET", "/v2/_catalog", "", "Authorization", head).Body, `{"repositories":[]}`)
}

// A blob is mounted from where the token may read, and from nowhere else: then an upload
// begins, as for a blob that is not there.
func TestScopedMount(t *testing.T) {
	w := servertest.New(t)
	admin := of(w, "myregistry", w.Admin)
	admin.image(t, "open", "v1", "open layer")
	admin.image(t, "secret", "v1", "secret layer")
	r := of(w, "myregistry", servertest.Person{})
	permit(w, "MyMap", "open content/read", "mine content/read", "mine content/write", "secret metadata/read", "secret content/write")
	head := basic("MyToken", newToken(t, w, "MyToken", "MyMap"))
	mount := func(text, from string) servertest.Answer {
		return r.send("POST", "/v2/mine/blobs/uploads/?mount="+digestOf(text)+from, "", "Authorization", head)
	}
	want(t, mount("open layer", "&from=open"), 201, "")
	want(t, mount("secret layer", "&from=secret"), 202, "")
	want(t, mount("secret layer", ""), 202, "")
	want(t, mount("secret layer", "&from=open"), 202, "")
	want(t, mount("nowhere", "&from=secret"), 202, "")
	want(t, r.send("GET", "/v2/mine/blobs/"+digestOf("secret layer"), "", "Authorization", head), 404, "BLOB_UNKNOWN")
	// With an access token that covers the target alone, the challenge names no source that
	// may not be read.
	token := bearer(t, r.send("GET", "/oauth2/token?scope=repository:mine:pull,push", "", "Authorization", head))
	a := r.send("POST", "/v2/mine/blobs/uploads/?mount="+digestOf("secret layer"), "", "Authorization", token)
	want(t, a, 202, "")
	equal(t, a.Header.Get("WWW-Authenticate"), "")
}

// Purging what is locked takes the right to unlock it, there.
func TestScopedPurgeOfLocked(t *testing.T) {
	w := servertest.New(t)
	of(w, "myregistry", w.Admin).image(t, "hello", "v1", "layer")
	r := of(w, "myregistry", servertest.Person{})
	permit(w, "MyMap", "hello content/delete", "hello metadata/read", "other metadata/write")
	head := basic("MyToken", newToken(t, w, "MyToken", "MyMap"))
	purge := func(more string) servertest.Answer {
		return r.send("POST", "/acr/v1/hello/_purge", `{"before":"2999-01-01T00:00:00Z","untagged":true,"dryRun":true`+more+`}`, "Authorization", head)
	}
	want(t, purge(""), 200, "")
	want(t, purge(`,"includeLocked":true`), 401, "UNAUTHORIZED")
	permit(w, "MyMap", "hello content/delete", "hello metadata/read", "hello metadata/write")
	want(t, purge(`,"includeLocked":true`), 200, "")
}

// What an access token was asked for and the scope map does not have is left out.
func TestScopedGrant(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", servertest.Person{})
	permit(w, "MyMap", "hello content/read", "hello metadata/read", "team/* content/write", "team/* content/read")
	password := newToken(t, w, "MyToken", "MyMap")
	query := url.Values{"scope": {"repository:hello:* repository:team/app:pull,push,delete", "repository:secret:pull registry:catalog:* registry:deleted_catalog:* repository:*:pull repository:hello/..:pull repository:None:*"}}
	head := bearer(t, r.send("GET", "/oauth2/token?"+query.Encode(), "", "Authorization", basic("MyToken", password)))
	subject, access, err := w.Issuer.VerifyAccess(t.Context(), strings.TrimPrefix(head, "Bearer "), "myregistry")
	must(t, err)
	equal(t, subject.Token, "MyToken")
	equal(t, subject.Principal == "" && subject.Admin == "" && subject.Run == "" && subject.Mark != "", true)
	equal(t, fmt.Sprint(access), "[repository:hello:pull,metadata_read repository:team/app:pull,push registry:catalog:*]")
	claims, _, _ := strings.Cut(strings.TrimPrefix(head, "Bearer "), "?")
	if strings.Contains(claims, password) {
		t.Error("the token holds the password")
	}
}

// Events name the token.
func TestScopedEvents(t *testing.T) {
	w := servertest.New(t)
	of(w, "myregistry", w.Admin).image(t, "hello", "v1", "layer")
	r := of(w, "myregistry", servertest.Person{})
	permit(w, "MyMap", "hello content/delete")
	want(t, r.send("DELETE", "/acr/v1/hello/_tags/v1", "", "Authorization", basic("mytoken", newToken(t, w, "MyToken", "MyMap"))), 202, "")
	equal(t, strings.Join(sqlstoretest.Texts(t, w.Database, `SELECT actor FROM events WHERE action = 'delete'`), " "), "MyToken")
}

// Whoever guesses learns nothing, whether there is such a token or not, and is told to
// wait after a while; from elsewhere, the right password and other users still count.
func TestScopedGuesses(t *testing.T) {
	w := servertest.New(t)
	set(w, `{"adminUserEnabled":true}`)
	r := of(w, "myregistry", servertest.Person{})
	permit(w, "MyMap", "hello content/read")
	password := newToken(t, w, "MyToken", "MyMap")
	other := newToken(t, w, "OtherToken", "MyMap")
	wrong := r.send("GET", "/oauth2/token", "", "Authorization", basic("MyToken", "wrong"))
	missing := r.send("GET", "/oauth2/token", "", "Authorization", basic("NoToken", "wrong"))
	want(t, wrong, 401, "UNAUTHORIZED")
	equal(t, wrong.Body, missing.Body)
	for _, user := range []string{"", " ", "mytoken ", "MyToken/", "../tokens/MyToken", "MyRegistry/tokens/MyToken", "mytoken\x00", "MyTökén", strings.Repeat("x", 20_000), "'; DROP TABLE documents; --", "mymap", "_repositories_admin"} {
		want(t, r.send("GET", "/v2/", "", "Authorization", basic(user, password)), 401, "UNAUTHORIZED")
	}
	for _, guess := range []string{"", "x", password + "x", strings.ToUpper(password), password[:len(password)-1], other, "password1", strings.Repeat("x", 20_000)} {
		want(t, r.send("GET", "/v2/", "", "Authorization", basic("MyToken", guess)), 401, "UNAUTHORIZED")
	}
	for _, user := range []string{"MyToken", "myregistry", "11111111-2222-3333-4444-555555555555"} {
		n, a := 0, servertest.Answer{}
		for ; n < 500; n++ {
			if a = r.send("GET", "/oauth2/token", "", "Authorization", basic(user, "wrong")); a.Status != 401 {
				break
			}
		}
		want(t, a, 429, "TOOMANYREQUESTS")
		if n < 50 || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d guesses, Retry-After %q", user, n, a.Header.Get("Retry-After"))
		}
	}
	want(t, r.send("GET", "/v2/", "", "Authorization", basic("mytoken", password)), 429, "TOOMANYREQUESTS")
	want(t, r.send("GET", "/v2/", "", "Authorization", basic("OtherToken", other)), 200, "")
}

// The tokens of a registry end with it; one made anew under the name has none.
func TestScopedTokensEndWithTheRegistry(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", servertest.Person{})
	permit(w, "MyMap", "hello content/read")
	all := ways(t, r, "MyToken", newToken(t, w, "MyToken", "MyMap"))
	w.ARMOK(w.Admin, "DELETE", w.Registry.String(), "")
	w.NewRegistry("MyRegistry")
	for name, head := range all {
		if a := r.send("GET", "/v2/", "", "Authorization", head); a.Status != 401 {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	permit(w, "MyMap", "hello content/read")
	w.ARMOK(w.Admin, "PUT", w.Registry.Child("tokens", "MyToken").String(), `{"properties":{"scopeMapId":"`+w.Registry.Child("scopeMaps", "MyMap").String()+`"}}`)
	want(t, r.send("GET", "/v2/", "", "Authorization", all["basic"]), 401, "UNAUTHORIZED")
}

// Libraries push and pull as a token.
func TestScopedClient(t *testing.T) {
	w := servertest.New(t)
	permit(w, "MyMap", "copy content/read", "copy content/write", "hello content/read")
	r := of(w, "myregistry", servertest.Person{Principal: identity.Principal{ClientID: "MyToken"}, Secret: newToken(t, w, "MyToken", "MyMap")})
	image, err := random.Image(2000, 2)
	must(t, err)
	opts := r.options(w.Client.Transport)
	must(t, remote.Write(r.ref(t, "copy:v1"), image, opts...))
	pulled, err := remote.Image(r.ref(t, "copy:v1"), opts...)
	must(t, err)
	must(t, validate.Image(pulled))
	if err := remote.Write(r.ref(t, "hello:v1"), image, opts...); err == nil || !strings.Contains(err.Error(), "MyMap") {
		t.Errorf("pushing what is not permitted: %v", err)
	}
	must(t, r.oras(t, "copy").Tags(t.Context(), "", func([]string) error { return nil }))
	if err := r.oras(t, "none").Tags(t.Context(), "", func([]string) error { return nil }); err == nil {
		t.Error("oras listed what is not permitted")
	}
}
