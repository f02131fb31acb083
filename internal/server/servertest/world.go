package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/store/sqlstore"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

// World is an installation that listens, with an administrator, a resource group
// "MyGroup" and a registry "MyRegistry" in it.
type World struct {
	*Stack
	Admin    Person
	Group    arm.ID
	Registry arm.ID
	Client   *http.Client // reaches the hosts of the installation and nothing else

	t *testing.T
}

// New makes a world that ends with the test.
func New(t *testing.T) *World {
	t.Helper()
	database := t.TempDir()
	if sqlstoretest.Postgres() {
		database = sqlstoretest.Database(t)
	}
	return NewOn(t, database)
}

// NewOn makes a world on a database, which is empty.
func NewOn(t *testing.T, database string) *World {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	dir := database
	if sqlstore.IsURL(database) {
		dir = t.TempDir()
	}
	stack, err := Build(t.Context(), dir, database, server.Listener.Addr().String())
	if err != nil {
		server.Close()
		t.Fatal(err)
	}
	server.Config.Handler = stack.Router
	server.StartTLS()
	w := &World{Stack: stack, t: t, Client: &http.Client{Transport: Transport(server), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	t.Cleanup(func() {
		w.Client.CloseIdleConnections()
		server.Close()
		if err := stack.DB.Close(); err != nil {
			t.Error(err)
		}
	})
	w.Admin = w.Person("admin", "Owner", arm.ID{})
	w.Group = arm.GroupID(Subscription, "MyGroup")
	w.Registry = w.NewRegistry("MyRegistry")
	return w
}

// Transport sends every request to the server, whatever its host.
func Transport(server *httptest.Server) *http.Transport {
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.ServerName = "example.com" // a name that the server's certificate has
	transport.Proxy = nil
	address := server.Listener.Addr().String()
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return transport
}

func (w *World) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// Person makes a service principal with a role at a scope; no role is "".
func (w *World) Person(name, role string, scope arm.ID) Person {
	w.t.Helper()
	p, err := w.NewPerson(w.t.Context(), name)
	w.must(err)
	if role != "" {
		_, err = w.Assign(w.t.Context(), p.ObjectID, role, scope)
		w.must(err)
	}
	return p
}

// NewRegistry makes a registry in the group, and the group if need be.
func (w *World) NewRegistry(name string) arm.ID {
	w.t.Helper()
	w.ARMOK(w.Admin, http.MethodPut, w.Group.String(), `{"location":"eastus"}`)
	id := w.Group.In(registry.Kind, name)
	w.ARMOK(w.Admin, http.MethodPut, id.String(), `{"location":"eastus","sku":{"name":"Basic"}}`)
	return id
}

// Token is an identity token of a person for the management host.
func (w *World) Token(p Person) string {
	w.t.Helper()
	return w.TokenFor(p, "management")
}

// TokenFor is an identity token of a person for a host.
func (w *World) TokenFor(p Person, host string) string {
	w.t.Helper()
	text, err := w.Issuer.Identity(p.Principal, w.URL(host), time.Now(), token.IdentityTTL)
	w.must(err)
	return text
}

// Answer is an answer with its body read.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// JSON is the body as JSON.
func (a Answer) JSON() map[string]any {
	var v map[string]any
	if json.Unmarshal([]byte(a.Body), &v) != nil {
		return nil
	}
	return v
}

// At digs in the body: At("error", "code"). What is not there is nil.
func (a Answer) At(path ...string) any {
	var v any = a.JSON()
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

// Request is a request to any host.
type Request struct {
	Method string
	URL    string
	Header map[string]string
	Body   string
}

// Do sends a request.
func (w *World) Do(r Request) Answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), r.Method, r.URL, strings.NewReader(r.Body))
	w.must(err)
	for name, value := range r.Header {
		req.Header.Set(name, value)
	}
	res, err := w.Client.Do(req)
	w.must(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	w.must(err)
	return Answer{Status: res.StatusCode, Header: res.Header, Body: string(bytes.TrimSpace(body))}
}

// Version is the api-version that ARM sends.
const Version = "2019-06-01-preview"

// ARM calls the management host as a person; a path without a query gets an
// api-version.
func (w *World) ARM(p Person, method, path, body string, header ...string) Answer {
	w.t.Helper()
	if !strings.Contains(path, "?") {
		path += "?api-version=" + Version
	}
	head := map[string]string{"Authorization": "Bearer " + w.Token(p), "Content-Type": "application/json"}
	for i := 0; i+1 < len(header); i += 2 {
		head[header[i]] = header[i+1]
	}
	return w.Do(Request{Method: method, URL: w.URL("management") + path, Header: head, Body: body})
}

// ARMOK is ARM for calls that must succeed.
func (w *World) ARMOK(p Person, method, path, body string, header ...string) Answer {
	w.t.Helper()
	a := w.ARM(p, method, path, body, header...)
	if a.Status >= 300 {
		w.t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
	}
	return a
}

// Graph calls the graph host as a person.
func (w *World) Graph(p Person, method, path, body string) Answer {
	w.t.Helper()
	return w.Do(Request{Method: method, URL: w.URL("graph") + path, Body: body,
		Header: map[string]string{"Authorization": "Bearer " + w.TokenFor(p, "graph"), "Content-Type": "application/json"}})
}

// Login posts a form to the login host.
func (w *World) Login(path string, form url.Values) Answer {
	w.t.Helper()
	return w.Do(Request{Method: http.MethodPost, URL: w.URL("login") + path, Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, Body: form.Encode()})
}
