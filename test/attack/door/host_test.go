package door_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// The name in Host says which host it is, and nothing else does.
func TestHosts(t *testing.T) {
	w := shared(t)
	p := w.newOne(t, "host", "AcrPull", w.registry(group1, first))
	access := bearer(p.access(t, first, "repository:app:pull"))
	_, port, _ := strings.Cut(w.Published.Suffix(), ":")
	get := func(t *testing.T, head ...string) answer {
		t.Helper()
		return w.do(t, ask{"GET", w.at(first, "/v2/app/manifests/1"),
			append([]string{"Authorization", access}, head...), ""})
	}
	good := w.login(first)
	for name, head := range map[string][]string{"plain": nil, "upper case": {"Host", strings.ToUpper(good)}} {
		t.Run("control: "+name, func(t *testing.T) { get(t, head...).ok(t) })
	}
	unknown, noRegistry := refusal{404, "UnknownHost", ""}, refusal{404, "NAME_UNKNOWN", "no registry of that name"}
	for _, test := range []struct {
		name, host string
		want       refusal
	}{
		{"another registry", w.login(second), notRegistry},
		{"a registry that is not there", w.login("nobody1"), noRegistry},
		{"another port", strings.TrimSuffix(good, ":"+port) + ":1", noRegistry},
		{"no port", strings.TrimSuffix(good, ":"+port), noRegistry},
		{"a name with a dot in front", "." + good, unknown},
		{"one label more", "x." + good, unknown},
		{"a dot at the end", strings.Replace(good, ":", ".:", 1), unknown},
		{"the domain of registries alone", "azurecr." + w.Published.Suffix(), unknown},
		{"the domain alone", w.Published.Suffix(), unknown},
		{"the address", w.Published.Address, unknown},
		{"the address in brackets", "[::1]:" + port, unknown},
		{"localhost", "localhost:" + port, unknown},
		{"somebody else's host", "example.com", unknown},
		{"the name in somebody else's domain", strings.Replace(good, ":", ".example.com:", 1), unknown},
		{"the public name without an alias", first + ".azurecr.io", unknown},
		{"a made-up host of the installation", "agents." + w.Published.Suffix(), unknown},
		{"metrics", "metrics." + w.Published.Suffix(), unknown},
	} {
		t.Run(test.name, func(t *testing.T) { get(t, "Host", test.host).refused(t, test.want) })
	}
	t.Run("management", func(t *testing.T) {
		get(t, "Host", "management."+w.Published.Suffix()).refused(t, notManagement)
	})
	t.Run("the directory", func(t *testing.T) {
		get(t, "Host", "graph."+w.Published.Suffix()).refused(t, notDirectory)
	})
	for _, head := range []string{"X-Forwarded-Host", "X-Host", "X-Original-Host", "X-Forwarded-Server", "Forwarded"} {
		t.Run(head, func(t *testing.T) {
			value := w.login(second)
			if head == "Forwarded" {
				value = `host="` + value + `";for=127.0.0.1`
			}
			get(t, head, value).ok(t) // it is the first registry that answered
			get(t, "Host", w.login(second), head, w.login(first)).refused(t, notRegistry)
			a := w.do(t, ask{"GET", w.at(first, "/v2/"), []string{head, "evil.example"}, ""})
			if challenge := a.header.Get("WWW-Authenticate"); a.status != 401 ||
				!strings.Contains(challenge, `realm="https://`+good+`/oauth2/token"`) {
				t.Errorf("%d %s", a.status, challenge)
			}
		})
	}
	for _, head := range []string{"X-Original-URL", "X-Rewrite-URL"} {
		t.Run(head, func(t *testing.T) { get(t, head, "/v2/hidden/manifests/9").ok(t) })
	}
}

// A method is what the request line says.
func TestMethods(t *testing.T) {
	w := shared(t)
	p := w.newOne(t, "methods", "Owner", w.group(group1))
	w.newRegistry(t, group1, "methodreg")
	path := w.registry(group1, "methodreg")
	for _, head := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		t.Run(head+" at management", func(t *testing.T) {
			target := w.Published.URL("management") + versioned(path)
			head := []string{"Authorization", bearer(p.armToken(t)), head, "DELETE", "Content-Type", "application/json"}
			if a := w.do(t, ask{"GET", target, head, ""}).ok(t); a.text("name") != "methodreg" {
				t.Errorf("got %s", a.body)
			}
			w.do(t, ask{"POST", target, head, "{}"}).refused(t, refusal{405, "MethodNotAllowed", "POST"})
			w.arm(t, p, "GET", path, "").ok(t)
		})
		t.Run(head+" at a registry", func(t *testing.T) {
			access := bearer(p.access(t, first, "repository:app:pull,delete"))
			w.do(t, ask{"GET", w.at(first, "/v2/app/manifests/1"),
				[]string{"Authorization", access, head, "DELETE"}, ""}).ok(t)
			w.v2(t, first, access, "GET", "/v2/app/manifests/1", "").ok(t)
		})
	}
	t.Run("_method in the query", func(t *testing.T) {
		w.arm(t, p, "GET", path+"?api-version="+armVersion+"&_method=DELETE&method=DELETE", "").ok(t)
		w.arm(t, p, "GET", path, "").ok(t)
	})
	t.Run("TRACE", func(t *testing.T) {
		a := w.do(t, ask{"TRACE", w.at(first, "/v2/app/manifests/1"),
			[]string{"Authorization", basic(refresher, w.admin.refresh(t, first))}, ""})
		a.refused(t, refusal{405, "UNSUPPORTED", "unsupported"})
	})
	t.Run("delete in lower case", func(t *testing.T) {
		w.do(t, ask{"delete", w.Published.URL("management") + versioned(path),
			[]string{"Authorization", bearer(p.armToken(t))}, ""}).refused(t,
			refusal{405, "MethodNotAllowed", "delete"})
	})
	t.Run("control: DELETE", func(t *testing.T) {
		w.arm(t, p, "DELETE", path, "").ok(t)
		w.arm(t, p, "GET", path, "").refused(t, refusal{404, "ResourceNotFound", ""})
	})
}

// What tells of the inside of a server is at none of its hosts, for nobody.
func TestInside(t *testing.T) {
	w := shared(t)
	hosts := []struct {
		name, url, token  string
		stranger, insider refusal
	}{
		{"management", w.Published.URL("management"), bearer(w.admin.armToken(t)), noToken,
			refusal{404, "NotFound", "names nothing"}},
		{"login", w.Published.URL("login"), bearer(w.admin.armToken(t)), refusal{404, "invalid_request", ""},
			refusal{404, "invalid_request", ""}},
		{"graph", w.Published.URL("graph"), bearer(w.admin.graphToken(t)), emptyToken,
			refusal{501, "NotImplemented", ""}},
		{"registry", "https://" + w.login(first), basic(refresher, w.admin.refresh(t, first)),
			refusal{404, "NOT_FOUND", ""}, refusal{404, "NOT_FOUND", ""}},
		{"logs", "https://acrlogs.blob." + w.Published.Suffix(), "x", refusal{403, "AuthenticationFailed", ""},
			refusal{403, "AuthenticationFailed", ""}},
	}
	for _, host := range hosts {
		t.Run("control: "+host.name+" answers", func(t *testing.T) {
			if a := w.do(t, ask{"GET", host.url + "/", nil, ""}); a.status >= 500 ||
				a.header.Get("x-ms-request-id") == "" {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
		for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/agents",
			"/lease", "/acrux.db", "/keys/admin.json", "/.git/config", "/server.json"} {
			t.Run(host.name+path, func(t *testing.T) {
				w.do(t, ask{"GET", host.url + path, nil, ""}).refused(t, host.stranger)
				w.do(t, ask{"GET", host.url + path, []string{"Authorization", host.token}, ""}).refused(t, host.insider)
			})
		}
	}
}

// Who guesses is counted by his address, whatever he says about it: a stranger who is no
// proxy neither escapes nor locks others out.
func TestForwardedForOfNoProxy(t *testing.T) {
	w := shared(t)
	const name = "guessed@acrux.example"
	const password = "Right-Password-4711"
	w.newUser(t, name, password)
	guess := func(t *testing.T, client *http.Client, password string, head ...string) answer {
		t.Helper()
		body := "grant_type=password&username=" + name + "&password=" + password +
			"&client_id=04b07795-8ddb-461a-bbee-02f9e1bf7b46&scope=" + w.Published.URL("management") + "/.default"
		return send(t, client, ask{"POST", w.tokenURL(),
			append([]string{"Content-Type", "application/x-www-form-urlencoded"}, head...), body})
	}
	from, err := w.clientFrom("127.0.0.9")
	must(t, err)
	elsewhere, err := w.clientFrom("127.0.0.10")
	must(t, err)
	t.Run("control: the right password", func(t *testing.T) { guess(t, elsewhere, password).ok(t) })
	for i := range 10 {
		guess(t, from, "wrong", "X-Forwarded-For", fmt.Sprintf("127.0.0.%d", 100+i), "Forwarded",
			fmt.Sprintf("for=127.0.0.%d", 100+i)).refused(t, refusal{400, "invalid_grant", "AADSTS50126"})
	}
	locked := refusal{400, "invalid_grant", "AADSTS50053"}
	t.Run("the eleventh guess", func(t *testing.T) {
		guess(t, from, "wrong", "X-Forwarded-For", "127.0.0.99").refused(t, locked)
	})
	t.Run("the right password after them", func(t *testing.T) {
		guess(t, from, password, "X-Real-IP", "127.0.0.98").refused(t, locked)
	})
	t.Run("in the name of the one who came before", func(t *testing.T) {
		guess(t, from, password, "X-Forwarded-For", "127.0.0.10").refused(t, locked)
	})
	t.Run("control: from elsewhere", func(t *testing.T) { guess(t, elsewhere, password).ok(t) })
}
