package registryapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/server/servertest"
)

// az sends what the stock CLI does and records it: the challenge, the exchange and a
// token for each command, then its requests (az-wire sections 12 and 15).
type az struct {
	registry
	t       *testing.T
	tr      *servertest.Transcript
	refresh string
}

// shown are the headers that the client reads.
var shown = []string{"WWW-Authenticate", "Docker-Distribution-Api-Version", "Docker-Content-Digest", "Content-Type", "Link", "OCI-Filters-Applied"}

func (z *az) record(title, line string, a servertest.Answer) servertest.Answer {
	z.tr.Add(title, line, a, shown...)
	return a
}

// post sends a form to the token service.
func (z *az) post(title, path string, form url.Values) servertest.Answer {
	a := z.form(path, form)
	line, err := url.QueryUnescape(form.Encode())
	must(z.t, err)
	return z.record(title, "POST "+path+" "+line, a)
}

// login is what every command begins with.
func (z *az) login(title string) {
	challenge := z.Do(servertest.Request{Method: "GET", URL: "https://" + z.host + "/v2/"})
	z.record(title+": challenge", "GET /v2/", challenge)
	text, err := z.Issuer.Identity(z.person.Principal, z.URL("management"), time.Now(), token.IdentityTTL)
	must(z.t, err)
	a := z.post(title+": exchange", "/oauth2/exchange", url.Values{"grant_type": {"access_token"}, "service": {z.host}, "tenant": {servertest.Tenant}, "access_token": {text}})
	z.refresh, _ = a.At("refresh_token").(string)
}

// command asks for a token and sends requests: each a method, a path and perhaps a
// body, with a blank between them.
func (z *az) command(title, scope string, requests ...string) {
	a := z.post(title+": token", "/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "service": {z.host}, "scope": {scope}, "refresh_token": {z.refresh}})
	text, _ := a.At("access_token").(string)
	for _, line := range requests {
		method, rest, _ := strings.Cut(line, " ")
		path, body, _ := strings.Cut(rest, " ")
		z.record(title, line, z.send(method, path, body, "Authorization", "Bearer "+text, "Content-Type", "application/json",
			"User-Agent", "python-requests/2.28.1",
			"Accept", "*/*, application/vnd.oci.artifact.manifest.v1+json, application/vnd.cncf.oras.artifact.manifest.v1+json, "+imageType+", "+indexType))
	}
}

// What the stock CLI sends to a registry for its commands, and what it is answered.
func TestTranscript(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	hello := r.image(t, "team/hello", "v1", "layer")
	want(t, r.send("PUT", "/v2/team/hello/manifests/v2", hello, "Content-Type", imageType), 201, "")
	other := r.image(t, "team/hello", "other", "other")
	signature := strings.Replace(simple("layer"), `"layers"`, `"artifactType":"application/vnd.signature","subject":{"mediaType":"`+imageType+`","digest":"`+digestOf(hello)+`","size":1},"layers"`, 1)
	want(t, r.send("PUT", "/v2/team/hello/manifests/"+digestOf(signature), signature, "Content-Type", imageType), 201, "")
	z := &az{registry: r, t: t, tr: w.NewTranscript()}
	const read, write, remove = "repository:team/hello:metadata_read", "repository:team/hello:metadata_write,metadata_read", "repository:team/hello:delete,metadata_read"
	at, d := "/acr/v1/team/hello", digestOf(hello)

	z.login("acr login")
	z.command("acr check-health", "registry:None:*")
	z.command("acr repository list", "registry:catalog:*", "GET /acr/v1/_catalog?n=100")
	z.command("acr repository show --repository", read, "GET "+at)
	z.command("acr repository show --image", read, "GET "+at+"/_tags/v1")
	z.command("acr repository show --image by digest", read, "GET "+at+"/_manifests/"+d)
	z.command("acr repository show-tags --top 2", read, "GET "+at+"/_tags?n=2&orderby=timedesc", "GET "+at+"/_tags?last=v2&n=2&orderby=timedesc")
	z.command("acr repository show-manifests", read, "GET "+at+"/_manifests?n=100&orderby=timedesc")
	z.command("acr manifest list-metadata", read, "GET "+at+"/_manifests?n=100&orderby=timeasc")
	z.command("acr manifest show-metadata", read, "GET "+at+"/_tags/v1", "GET "+at+"/_manifests/"+d)
	z.command("acr manifest show --raw", "repository:team/hello:pull", "GET /v2/team/hello/manifests/v1")
	z.command("acr manifest list-referrers", "repository:team/hello:pull", "GET /v2/team/hello/referrers/"+d, "GET /v2/team/hello/referrers/"+d+"?artifactType=application/vnd.nothing")
	z.command("acr manifest list-deleted", "repository:team/hello:deleted_read", "GET /acr/v1/_deleted/team/hello/_manifests?n=100")
	z.command("acr repository update --repository --list-enabled false", write, "PATCH "+at+` {"listEnabled":false}`)
	z.command("acr repository update --image --write-enabled false --delete-enabled false", write, "PATCH "+at+`/_tags/v1 {"deleteEnabled":false,"writeEnabled":false}`)
	z.command("acr manifest update-metadata --read-enabled false", write, "PATCH "+at+"/_manifests/"+digestOf(other)+` {"readEnabled":false}`)
	z.command("acr manifest show of what may not be read", "repository:team/hello:pull", "GET /v2/team/hello/manifests/other")
	z.command("acr repository delete --image of what is locked", remove, "GET "+at+"/_tags/v1", "GET "+at+"/_tags", "DELETE /v2/team/hello/manifests/"+d)
	z.command("acr repository update --image --write-enabled true", write, "PATCH "+at+`/_tags/v1 {"deleteEnabled":true,"writeEnabled":true}`)
	z.command("acr repository untag", "repository:team/hello:delete", "DELETE "+at+"/_tags/v2", "DELETE "+at+"/_tags/v2")
	z.command("acr repository delete --image", remove, "GET "+at+"/_tags/v1", "GET "+at+"/_tags", "DELETE /v2/team/hello/manifests/"+d)
	z.command("acr manifest delete", remove, "DELETE /v2/team/hello/manifests/"+digestOf(signature), "DELETE /v2/team/hello/manifests/"+digestOf(signature))
	z.command("acr repository delete --repository", "repository:team/hello:delete", "DELETE "+at, "DELETE "+at)
	z.command("acr repository show without the right token", "repository:other:metadata_read", "GET "+at)

	credentials := func(title, action, body string) {
		z.tr.Add(title, "POST {R}/"+action+" "+body, w.ARM(w.Admin, http.MethodPost, w.Registry.String()+"/"+action+"?api-version=2022-02-01-preview", body))
	}
	credentials("acr credential show of a disabled user", "listCredentials", "")
	set(w, `{"adminUserEnabled":true}`)
	credentials("acr credential show", "listCredentials", "")
	credentials("acr credential renew", "regenerateCredential", `{"name":"password2"}`)
	first, _ := passwords(t, w.ARM(w.Admin, http.MethodPost, w.Registry.String()+"/listCredentials", ""))
	z.post("acr repository list -u -p: token", "/oauth2/token", url.Values{"grant_type": {"password"}, "service": {z.host}, "scope": {"registry:catalog:*"}, "username": {"MyRegistry"}, "password": {first}})
	z.post("acr repository list -u -p with a wrong password: token", "/oauth2/token", url.Values{"grant_type": {"password"}, "service": {z.host}, "scope": {"registry:catalog:*"}, "username": {"MyRegistry"}, "password": {"wrong"}})
	servertest.Golden(t, "transcript.golden", z.tr.String())
}
