package door_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// newUser makes a person with a password and returns his ID.
func (w *world) newUser(t *testing.T, name, password string) string {
	t.Helper()
	return w.graph(t, w.admin, "POST", "/users", `{"accountEnabled":true,"displayName":"User","mailNickname":"user",`+
		`"userPrincipalName":"`+name+`","passwordProfile":{"password":"`+password+`",`+
		`"forceChangePasswordNextSignIn":false}}`).ok(t).text("id")
}

// person is a service principal, with what it signs in with.
type person struct {
	w                       *world
	appID, objectID         string // of the application, of the principal
	clientID, keyID, secret string
	mu                      sync.Mutex
	tokens                  map[string]string // by audience
}

// newPerson makes a service principal without any right.
func (w *world) newPerson(t *testing.T, name string) *person {
	t.Helper()
	app := w.graph(t, w.admin, "POST", "/applications", `{"displayName":"`+name+`"}`).ok(t)
	p := &person{w: w, appID: app.text("id"), clientID: app.text("appId")}
	p.addSecret(t)
	sp := w.graph(t, w.admin, "POST", "/servicePrincipals", `{"appId":"`+p.clientID+`"}`).ok(t)
	p.objectID = sp.text("id")
	return p
}

// addSecret gives the principal a secret, with which it signs in from now on.
func (p *person) addSecret(t *testing.T) {
	t.Helper()
	a := p.w.graph(t, p.w.admin, "POST", "/applications/"+p.appID+"/addPassword",
		`{"passwordCredential":{"displayName":"x"}}`).ok(t)
	p.secret, p.keyID = a.text("secretText"), a.text("keyId")
}

// newOne makes a service principal with a role at a scope.
func (w *world) newOne(t *testing.T, name, role, scope string) *person {
	t.Helper()
	p := w.newPerson(t, name)
	w.assign(t, p.objectID, role, scope)
	return p
}

// roles are the IDs of built-in roles.
var roles = map[string]string{
	"AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d", "AcrPush": "8311e382-0749-4cb8-b61a-304f252e45ec",
	"AcrDelete": "c2f4ef07-c644-48eb-af81-4b1b4947fb11", "Owner": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
	"Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c", "Reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
	"User Access Administrator": "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
}

// assignment is the path and the body of a request for a new role assignment.
func assignment(scope, objectID, role string) (path, body string) {
	return scope + "/providers/Microsoft.Authorization/roleAssignments/" + uuid.NewString(),
		`{"properties":{"roleDefinitionId":"` + roles[role] + `","principalId":"` + objectID + `"}}`
}

// assign gives a role and returns the ID of the assignment.
func (w *world) assign(t *testing.T, objectID, role, scope string) string {
	t.Helper()
	path, body := assignment(scope, objectID, role)
	w.arm(t, w.admin, "PUT", path, body).ok(t)
	return path
}

// signIn asks for a token with the client secret.
func (p *person) signIn(t *testing.T, audience string) answer {
	t.Helper()
	return p.w.form(t, p.w.tokenURL(), "grant_type", "client_credentials", "client_id", p.clientID,
		"client_secret", p.secret, "scope", audience+"/.default")
}

func (w *world) tokenURL() string {
	return w.Published.URL("login") + "/" + w.Published.TenantID + "/oauth2/v2.0/token"
}

// token is an identity token for an audience. It is kept.
func (p *person) token(t *testing.T, audience string) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tokens == nil {
		p.tokens = map[string]string{}
	}
	if p.tokens[audience] == "" {
		p.tokens[audience] = p.signIn(t, audience).ok(t).text("access_token")
	}
	return p.tokens[audience]
}

func (p *person) armToken(t *testing.T) string {
	t.Helper()
	return p.token(t, p.w.Published.URL("management"))
}

func (p *person) graphToken(t *testing.T) string {
	t.Helper()
	return p.token(t, p.w.Published.URL("graph"))
}

func bearer(token string) string { return "Bearer " + token }

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// armVersion is an api-version that all types have.
const armVersion = "2019-06-01-preview"

// arm calls the management host; a path without a query gets an api-version.
func (w *world) arm(t *testing.T, p *person, method, path, body string) answer {
	t.Helper()
	return w.armAs(t, p.armToken(t), method, path, body)
}

func (w *world) armAs(t *testing.T, token, method, path, body string) answer {
	t.Helper()
	return w.do(t, ask{method, w.Published.URL("management") + versioned(path),
		[]string{"Authorization", bearer(token), "Content-Type", "application/json"}, body})
}

func versioned(path string) string {
	version := armVersion
	if strings.Contains(path, "/roleAssignments") {
		version = "2022-04-01"
	}
	if !strings.Contains(path, "?") {
		path += "?api-version=" + version
	}
	return path
}

// graph calls the directory.
func (w *world) graph(t *testing.T, p *person, method, path, body string) answer {
	t.Helper()
	return w.do(t, ask{method, w.Published.URL("graph") + "/v1.0" + path,
		[]string{"Authorization", bearer(p.graphToken(t)), "Content-Type", "application/json"}, body})
}

// refresher is the user whose password is a refresh token.
const refresher = "00000000-0000-0000-0000-000000000000"

// exchange asks a registry for a refresh token.
func (p *person) exchange(t *testing.T, registry string) answer {
	t.Helper()
	return p.w.form(t, p.w.at(registry, "/oauth2/exchange"), "grant_type", "access_token",
		"service", p.w.login(registry), "access_token", p.armToken(t))
}

func (p *person) refresh(t *testing.T, registry string) string {
	t.Helper()
	return p.exchange(t, registry).ok(t).text("refresh_token")
}

// access is an access token of a registry for scopes.
func (p *person) access(t *testing.T, registry string, scopes ...string) string {
	t.Helper()
	return p.w.accessFor(t, registry, p.refresh(t, registry), scopes...)
}

func (w *world) accessFor(t *testing.T, registry, refresh string, scopes ...string) string {
	t.Helper()
	return w.askAccess(t, registry, refresh, scopes...).ok(t).text("access_token")
}

func (w *world) askAccess(t *testing.T, registry, refresh string, scopes ...string) answer {
	t.Helper()
	fields := []string{"grant_type", "refresh_token", "service", w.login(registry), "refresh_token", refresh}
	for _, scope := range scopes {
		fields = append(fields, "scope", scope)
	}
	return w.form(t, w.at(registry, "/oauth2/token"), fields...)
}

// v2 calls a registry with an Authorization header; "" sends none.
func (w *world) v2(t *testing.T, registry, authorization, method, path, body string) answer {
	t.Helper()
	head := []string{"Content-Type", manifestType}
	if authorization != "" {
		head = append(head, "Authorization", authorization)
	}
	return w.do(t, ask{method, w.at(registry, path), head, body})
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

func digestOf(content string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content))) }

// config is the configuration of all images that push makes.
const config = `{"architecture":"amd64","os":"linux"}`

// push pushes a small image as the administrator.
func (w *world) push(t *testing.T, registry, repository, tag string) {
	t.Helper()
	who := basic(refresher, w.admin.refresh(t, registry))
	w.addBlob(t, registry, who, repository, config)
	w.v2(t, registry, who, "PUT", "/v2/"+repository+"/manifests/"+tag, manifest(repository)).ok(t)
}

// addBlob uploads a blob at once.
func (w *world) addBlob(t *testing.T, registry, authorization, repository, content string) {
	t.Helper()
	path := "/v2/" + repository + "/blobs/uploads/?digest=" + url.QueryEscape(digestOf(content))
	w.v2(t, registry, authorization, "POST", path, content).ok(t)
}

// manifest is that of an image with a name in it, so that images differ.
func manifest(name string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s",`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json",`+
		`"digest":"%s","size":%d},"layers":[],"annotations":{"name":"%s"}}`, manifestType, digestOf(config),
		len(config), name)
}
