package registryapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/server/servertest"
)

// registry is a registry as a test talks to it: with the name and secret of a person.
type registry struct {
	*servertest.World
	host   string
	person servertest.Person
}

func of(w *servertest.World, name string, p servertest.Person) registry {
	return registry{w, w.LoginServer(name), p}
}

// send sends a request with Basic authentication; header is name, value and so on.
func (r registry) send(method, path, body string, header ...string) servertest.Answer {
	head := map[string]string{"Authorization": basic(string(r.person.ClientID), r.person.Secret)}
	for i := 0; i+1 < len(header); i += 2 {
		head[header[i]] = header[i+1]
	}
	if !strings.HasPrefix(path, "https://") {
		path = "https://" + r.host + path
	}
	return r.Do(servertest.Request{Method: method, URL: path, Header: head, Body: body})
}

func basic(user, password string) string {
	req := &http.Request{Header: http.Header{}}
	req.SetBasicAuth(user, password)
	return req.Header.Get("Authorization")
}

// form posts a form without any authentication of its own.
func (r registry) form(path string, values url.Values) servertest.Answer {
	return r.Do(servertest.Request{Method: http.MethodPost, URL: "https://" + r.host + path, Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, Body: values.Encode()})
}

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
)

func digestOf(text string) string { return digest.FromString(text).String() }

// blob pushes a blob whole.
func (r registry) blob(t *testing.T, repository, content string) {
	t.Helper()
	want(t, r.send("POST", "/v2/"+repository+"/blobs/uploads/?digest="+digestOf(content), content), 201, "")
}

// simple is a manifest of an empty config and one layer.
func simple(layer string) string {
	return `{"schemaVersion":2,"mediaType":"` + imageType + `","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + digestOf("{}") + `","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"` + digestOf(layer) + `","size":1}]}`
}

// image pushes a small image and returns its manifest.
func (r registry) image(t *testing.T, repository, tag, layer string) string {
	t.Helper()
	r.blob(t, repository, "{}")
	r.blob(t, repository, layer)
	want(t, r.send("PUT", "/v2/"+repository+"/manifests/"+tag, simple(layer), "Content-Type", imageType), 201, "")
	return simple(layer)
}

// want fails the test unless the answer has the status and, in OCI's form, the code.
func want(t *testing.T, a servertest.Answer, status int, code string) {
	t.Helper()
	if a.Status != status || code != "" && errorCode(a) != code {
		t.Fatalf("want %d %s, got %d %s", status, code, a.Status, a.Body)
	}
}

func errorCode(a servertest.Answer) string {
	first, _ := firstError(a)["code"].(string)
	return first
}

func firstError(a servertest.Answer) map[string]any {
	all, _ := a.At("errors").([]any)
	if len(all) == 0 {
		return nil
	}
	first, _ := all[0].(map[string]any)
	return first
}

// deniedBy reports whether an answer is a denial: to Azure's clients by 401, to others by 403.
func deniedBy(a servertest.Answer) bool {
	lacking := strings.HasSuffix(a.Header.Get("WWW-Authenticate"), `,error="insufficient_scope"`)
	return a.Status == http.StatusForbidden || a.Status == http.StatusUnauthorized && lacking
}

// Without credentials there is nothing, but for the words that say how to get some,
// az-wire 12.1.
func TestChallenges(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	realm := `Bearer realm="https://` + r.host + `/oauth2/token",service="` + r.host + `"`
	for _, test := range []struct{ method, path, scope string }{
		{"GET", "/v2/", ""},
		{"GET", "/v2", ""},
		{"GET", "/v2/_catalog", "registry:catalog:*"},
		{"GET", "/acr/v1/_catalog", "registry:catalog:*"},
		{"GET", "/v2/a/b/manifests/latest", "repository:a/b:pull"},
		{"HEAD", "/v2/a/blobs/" + digestOf("x"), "repository:a:pull"},
		{"GET", "/v2/a/tags/list", "repository:a:pull"},
		{"GET", "/v2/a/referrers/" + digestOf("x"), "repository:a:pull"},
		{"POST", "/v2/a/blobs/uploads/", "repository:a:pull,push"},
		{"PUT", "/v2/a/blobs/uploads/x", "repository:a:pull,push"},
		{"PATCH", "/v2/a/blobs/uploads/x", "repository:a:pull,push"},
		{"PUT", "/v2/a/manifests/latest", "repository:a:pull,push"},
		{"DELETE", "/v2/a/manifests/latest", "repository:a:delete"},
		{"DELETE", "/v2/a/blobs/" + digestOf("x"), "repository:a:delete"},
		{"DELETE", "/acr/v1/a/b", "repository:a/b:delete"},
		{"GET", "/acr/v1/a/_tags", "repository:a:metadata_read"},
		{"GET", "/acr/v1/a/b/_manifests/" + digestOf("x"), "repository:a/b:metadata_read"},
		{"PATCH", "/acr/v1/a/_tags/latest", "repository:a:metadata_write"},
		{"GET", "/v2/blobs/manifests/tags/list", "repository:blobs/manifests:pull"},
	} {
		a := w.Do(servertest.Request{Method: test.method, URL: "https://" + r.host + test.path})
		expect := realm
		if test.scope != "" {
			expect += `,scope="` + test.scope + `"`
		}
		if got := a.Header.Get("WWW-Authenticate"); a.Status != 401 || got != expect {
			t.Errorf("%s %s: %d %s, want %s", test.method, test.path, a.Status, got, expect)
		}
		if a.Header.Get("Docker-Distribution-Api-Version") != "registry/2.0" || test.method != "HEAD" && errorCode(a) != "UNAUTHORIZED" {
			t.Errorf("%s %s: %v %s", test.method, test.path, a.Header, a.Body)
		}
	}
	want(t, w.Do(servertest.Request{Method: "GET", URL: "https://" + w.LoginServer("nobody1") + "/v2/"}), 404, "NAME_UNKNOWN")
	want(t, w.Do(servertest.Request{Method: "GET", URL: "https://" + r.host + "/oauth2/token?scope=registry:catalog:*"}), 401, "UNAUTHORIZED")
}

// exchange changes an identity token for a refresh token.
func (r registry) exchange(t *testing.T, audience string) servertest.Answer {
	t.Helper()
	text, err := r.Issuer.Identity(r.person.Principal, audience, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return r.form("/oauth2/exchange", url.Values{"grant_type": {"access_token"}, "service": {r.host}, "tenant": {servertest.Tenant}, "access_token": {text}})
}

// The ways to a token, az-wire 12.2.
func TestTokenService(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Person("puller", "AcrPull", w.Registry))
	a := r.exchange(t, w.URL("management"))
	want(t, a, 200, "")
	refresh, _ := a.At("refresh_token").(string)
	want(t, r.exchange(t, "https://containerregistry.azure.net"), 200, "")
	want(t, r.exchange(t, w.URL("graph")), 401, "UNAUTHORIZED")
	stranger := of(w, "myregistry", w.Person("stranger", "", arm.ID{}))
	denied := stranger.exchange(t, w.URL("management"))
	want(t, denied, 403, "DENIED")

	const nobody = "00000000-0000-0000-0000-000000000000"
	asked := []string{"repository:hello:pull,push", "repository:other:metadata_read registry:catalog:*", "registry:None:*", "rubbish"}
	granted := []any{map[string]any{"type": "repository", "name": "hello", "actions": []any{"pull"}}, map[string]any{"type": "repository", "name": "other", "actions": []any{"metadata_read"}}}
	query := "/oauth2/token?" + url.Values{"service": {r.host}, "scope": asked}.Encode()
	answers := map[string]servertest.Answer{
		"refresh token":    r.form("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "service": {r.host}, "scope": asked}),
		"password":         r.form("/oauth2/token", url.Values{"grant_type": {"password"}, "username": {string(r.person.ClientID)}, "password": {r.person.Secret}, "scope": asked}),
		"nobody, password": r.form("/oauth2/token", url.Values{"grant_type": {"password"}, "username": {nobody}, "password": {refresh}, "scope": asked}),
		"basic":            r.send("GET", query, ""),
		"nobody, basic":    r.send("GET", query, "", "Authorization", basic(nobody, refresh)),
	}
	for name, a := range answers {
		text, _ := a.At("access_token").(string)
		if a.Status != 200 || text == "" || a.At("token") != text {
			t.Fatalf("%s: %d %s", name, a.Status, a.Body)
		}
		_, access, err := w.Issuer.VerifyAccess(t.Context(), text, "myregistry")
		if err != nil {
			t.Fatal(err)
		}
		equal(t, asJSON(t, access), granted)
	}
	for name, a := range map[string]servertest.Answer{
		"a wrong secret":         r.send("GET", query, "", "Authorization", basic(string(r.person.ClientID), "wrong")),
		"nobody":                 r.send("GET", query, "", "Authorization", basic("who", "ever")),
		"an object ID":           r.send("GET", query, "", "Authorization", basic(string(r.person.ObjectID), r.person.Secret)),
		"rubbish":                r.form("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x.y.z"}}),
		"another registry":       of(w, registryNamed(w, "Another1"), r.person).form("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}),
		"an access token":        r.form("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {answers["basic"].At("token").(string)}}),
		"an identity token":      r.form("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {w.Token(r.person)}}),
		"a refresh token on /v2": r.send("GET", "/v2/", "", "Authorization", "Bearer "+refresh),
		"an identity on /v2":     r.send("GET", "/v2/", "", "Authorization", "Bearer "+w.Token(r.person)),
	} {
		if a.Status != 401 || errorCode(a) != "UNAUTHORIZED" || a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	want(t, r.form("/oauth2/token", url.Values{"grant_type": {"magic"}}), 400, "UNSUPPORTED_GRANT_TYPE")
	want(t, r.send("GET", "/oauth2/exchange", ""), 405, "UNSUPPORTED")
}

func registryNamed(w *servertest.World, name string) string {
	w.NewRegistry(name)
	return name
}

// A token opens what it covers, as long as its principal may.
func TestAccessTokens(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	r.image(t, "hello", "v1", "layer")
	r.image(t, "other", "v1", "layer")
	p := w.Person("puller", "", arm.ID{})
	name, err := w.Assign(t.Context(), p.ObjectID, "AcrPull", w.Registry)
	if err != nil {
		t.Fatal(err)
	}
	r.person = p
	text, _ := r.send("GET", "/oauth2/token?scope=repository:hello:pull", "").At("token").(string)
	bearer := []string{"Authorization", "Bearer " + text}
	want(t, r.send("GET", "/v2/hello/manifests/v1", "", bearer...), 200, "")
	a := r.send("GET", "/v2/other/manifests/v1", "", bearer...)
	want(t, a, 401, "UNAUTHORIZED")
	if got := a.Header.Get("WWW-Authenticate"); !strings.HasSuffix(got, `,scope="repository:other:pull",error="insufficient_scope"`) {
		t.Errorf("the challenge is %s", got)
	}
	another := of(w, registryNamed(w, "Another1"), p)
	want(t, another.send("GET", "/v2/hello/manifests/v1", "", bearer...), 401, "UNAUTHORIZED")
	if err := w.Checker.Store.DeleteAssignment(t.Context(), w.Registry, name); err != nil {
		t.Fatal(err)
	}
	want(t, r.send("GET", "/v2/hello/manifests/v1", "", bearer...), 403, "DENIED")
}

// AcrPull pulls and does nothing else, and is told who it is and what would help.
func TestDenial(t *testing.T) {
	w := servertest.New(t)
	admin := of(w, "myregistry", w.Admin)
	admin.image(t, "hello", "v1", "layer")
	p := w.Person("puller", "AcrPull", w.Registry)
	r := of(w, "myregistry", p)
	for _, path := range []string{"/v2/hello/manifests/v1", "/v2/hello/blobs/" + digestOf("layer"), "/v2/hello/tags/list", "/acr/v1/hello", "/acr/v1/hello/_tags"} {
		want(t, r.send("GET", path, ""), 200, "")
	}
	for _, test := range []struct{ method, path, action, role string }{
		{"POST", "/v2/hello/blobs/uploads/", rbac.ActionPush, "AcrPush"},
		{"PUT", "/v2/hello/manifests/v2", rbac.ActionPush, "AcrPush"},
		{"DELETE", "/v2/hello/manifests/v1", rbac.ActionDelete, "AcrDelete"},
		{"DELETE", "/v2/hello/blobs/" + digestOf("layer"), rbac.ActionDelete, "AcrDelete"},
		{"DELETE", "/acr/v1/hello", rbac.ActionDelete, "AcrDelete"},
		{"PATCH", "/acr/v1/hello", rbac.ActionMetadataWrite, "Contributor"},
		{"GET", "/v2/_catalog", rbac.ActionCatalog, "Reader"},
	} {
		a := r.send(test.method, test.path, "")
		if !deniedBy(a) {
			t.Errorf("%s %s: no denial but %d %s", test.method, test.path, a.Status, a.Body)
		}
		for _, part := range []string{"'" + test.action + "'", "the service principal 'puller'", "principalId " + string(p.ObjectID), "clientId " + string(p.ClientID), "AcrPull at " + w.Registry.String(),
			"az role assignment create --assignee " + string(p.ObjectID) + " --scope " + w.Registry.String() + " --role " + test.role} {
			if !strings.Contains(strings.ToLower(a.Body), strings.ToLower(part)) {
				t.Errorf("%s %s does not say %q: %s", test.method, test.path, part, a.Body)
			}
		}
	}
}

// A run may use its own registry while it is under way, and no more.
func TestRunToken(t *testing.T) {
	w := servertest.New(t)
	of(w, "myregistry", w.Admin).image(t, "hello", "v1", "layer")
	w.NewRegistry("Another1")
	id := w.ARMOK(w.Admin, "POST", w.Registry.String()+"/scheduleRun", `{"type":"EncodedTaskRunRequest","encodedTaskContent":"c3RlcHM6IFtdCg=="}`).At("id").(string)
	key, err := arm.ParseID(id)
	if err != nil {
		t.Fatal(err)
	}
	refresh := func(registry string) string {
		text, err := w.Issuer.Refresh(registry, token.Subject{Run: key.Key()}, time.Now(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	const nobody = "00000000-0000-0000-0000-000000000000"
	head := []string{"Authorization", basic(nobody, refresh("myregistry"))}
	r := of(w, "myregistry", servertest.Person{})
	want(t, r.send("GET", "/v2/hello/manifests/v1", "", head...), 403, "DENIED") // queued
	l := lease(t, w)
	want(t, r.send("GET", "/v2/hello/manifests/v1", "", head...), 200, "")
	want(t, r.send("POST", "/v2/hello/blobs/uploads/", "", head...), 202, "")
	want(t, of(w, "another1", servertest.Person{}).send("GET", "/v2/hello/manifests/v1", "", head...), 401, "UNAUTHORIZED")
	want(t, of(w, "another1", servertest.Person{}).send("GET", "/v2/hello/manifests/v1", "", "Authorization", basic(nobody, refresh("another1"))), 403, "DENIED")
	l()
	want(t, r.send("GET", "/v2/hello/manifests/v1", "", head...), 403, "DENIED")
}
