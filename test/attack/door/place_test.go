package door_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Who owns one group gets nothing out of another, however he spells its path.
func TestPathsToOtherGroups(t *testing.T) {
	w := shared(t)
	p := w.newOne(t, "neighbour", "Owner", w.group(group2))
	mine, theirs := w.registry(group2, other), w.registry(group1, first)
	inTheirs := strings.TrimPrefix(theirs, w.group(group1))
	send := func(t *testing.T, method, path string) answer {
		t.Helper()
		a := w.arm(t, p, method, path, "{}")
		if strings.Contains(a.body, `"loginServer":"`+first) {
			t.Errorf("%s shows the registry: %s", a.request, a.body)
		}
		return a
	}
	for name, path := range map[string]string{"plain": mine, "upper case": strings.ToUpper(mine), "two slashes": strings.ReplaceAll(mine, "/", "//"),
		"a slash at the end": mine + "/", "escaped letters": strings.ReplaceAll(mine, "otherreg", "%6ftherreg"), "escaped slashes": strings.ReplaceAll(mine, "/registries/", "%2fregistries%2F")} {
		t.Run("control: "+name, func(t *testing.T) { send(t, "GET", path).ok(t) })
	}
	denied := refusal{403, "AuthorizationFailed", "Microsoft.ContainerRegistry/registries/read"}
	missing := refusal{404, "ResourceNotFound", ""}
	nowhere := refusal{404, "NotFound", "names nothing that is served here"}
	upper := "/SUBSCRIPTIONS/" + strings.ToUpper(w.Published.SubscriptionID) + "/RESOURCEGROUPS/G1" + strings.ToUpper(inTheirs)
	for _, test := range []struct {
		name, path string
		want       refusal
	}{
		{"plain", theirs, denied},
		{"upper case", upper, denied},
		{"two slashes", strings.ReplaceAll(theirs, "/", "//"), denied},
		{"a slash at the end", theirs + "/", denied},
		{"escaped letters", strings.ReplaceAll(theirs, "firstreg", "%66irstreg"), denied},
		{"escaped slashes", strings.ReplaceAll(theirs, "/providers/", "%2fproviders%2F"), denied},
		{"under one's own group", mine[:len(mine)-len(other)] + first, missing},
		{"up and over", w.group(group2) + "/../" + group1 + inTheirs, nowhere},
		{"up and over, escaped", w.group(group2) + "/%2e%2e/" + group1 + inTheirs, nowhere},
		{"up and over, all escaped", w.group(group2) + "%2f%2e%2e%2f" + group1 + inTheirs, nowhere},
		{"up and over, escaped twice", w.group(group2) + "/%252e%252e/" + group1 + inTheirs, nowhere},
		{"up and over with backslashes", w.group(group2) + "%5c..%5c" + group1 + inTheirs, denied},
		{"up and over from one's own registry", mine + "/../" + first, refusal{501, "NotImplemented", ".."}},
		{"one's own path in front", mine + theirs, refusal{501, "NotImplemented", ""}},
		{"a zero byte", mine + "%00" + theirs, refusal{501, "NotImplemented", ""}},
		{"a semicolon", mine + ";/.." + theirs, refusal{501, "NotImplemented", ""}},
		{"a query in the path", mine + "%3f" + theirs, refusal{501, "NotImplemented", ""}},
		{"another subscription", strings.Replace(theirs, w.Published.SubscriptionID, "11111111-0000-4000-8000-000000000001", 1), refusal{404, "SubscriptionNotFound", ""}},
		{"no subscription", inTheirs, nowhere},
		{"an empty group", w.subscription() + "/resourceGroups/" + inTheirs, nowhere},
		{"a group of blanks", w.subscription() + "/resourceGroups/%20" + inTheirs, denied},
		{"the scope of an assignment in front", w.group(group2) + "/providers/Microsoft.Authorization/roleAssignments/x" + inTheirs, refusal{501, "NotImplemented", ""}},
	} {
		t.Run(test.name, func(t *testing.T) { send(t, "GET", test.path).refused(t, test.want) })
	}
	for action, body := range map[string]string{"listCredentials": "", "regenerateCredential": `{"name":"password"}`, "listBuildSourceUploadUrl": "",
		"generateCredentials": `{"tokenId":"` + theirs + `/tokens/none"}`, "scheduleRun": `{"type":"EncodedTaskRunRequest","platform":{"os":"linux"},"encodedTaskContent":"c3RlcHM6IFtdCg=="}`,
		"importImage": `{"source":{"registryUri":"` + w.login(other) + `","sourceImage":"app:1"},"targetTags":["stolen:1"]}`} {
		t.Run("action "+action, func(t *testing.T) {
			w.arm(t, p, "POST", theirs+"/"+action, body).refused(t, refusal{403, "AuthorizationFailed", "registries/" + action})
			under := w.arm(t, p, "POST", w.group(group2)+inTheirs+"/"+action, body)
			if action == "generateCredentials" { // it looks at the ID of the token first
				under.refused(t, refusal{400, "InvalidTokenId", ""})
				return
			}
			under.refused(t, missing)
		})
	}
	t.Run("the list of the subscription has one's own", func(t *testing.T) {
		a := send(t, "GET", w.subscription()+"/providers/Microsoft.ContainerRegistry/registries").ok(t)
		if !strings.Contains(a.body, other) || strings.Contains(a.body, first) {
			t.Errorf("the list is %s", a.body)
		}
	})
	t.Run("the list of resources has one's own", func(t *testing.T) {
		a := send(t, "GET", w.subscription()+"/resources").ok(t)
		if !strings.Contains(a.body, other) || strings.Contains(a.body, first) {
			t.Errorf("the list is %s", a.body)
		}
	})
}

// A repository is what its name says and not where dots lead.
func TestPathsInARegistry(t *testing.T) {
	w := shared(t)
	token := w.scopedToken(t, first, "paths", "repositories/app/content/read", "repositories/app/metadata/read")
	access := bearer(w.askPassword(t, first, token, "repository:app:pull,metadata_read").ok(t).text("access_token"))
	get := func(t *testing.T, path string) answer { t.Helper(); return w.v2(t, first, access, "GET", path, "") }
	for _, path := range []string{"/v2/app/manifests/1", "/v2/%61pp/manifests/1", "/acr/v1/app/_tags/1"} {
		t.Run("control: "+path, func(t *testing.T) { get(t, path).ok(t) })
	}
	bad, nowhere := refusal{400, "NAME_INVALID", "invalid repository name"}, refusal{404, "NOT_FOUND", ""}
	denied := refusal{403, "DENIED", "needs 'content/read' on repository 'hidden'"}
	for path, want := range map[string]refusal{
		"/v2/hidden/manifests/1":                denied,
		"/v2/%68idden/manifests/1":              denied,
		"/v2/app/../hidden/manifests/1":         bad,
		"/v2/app%2f..%2fhidden/manifests/1":     bad,
		"/v2/app/%2e%2e/hidden/manifests/1":     bad,
		"/v2/app%5c..%5chidden/manifests/1":     bad,
		"/v2//hidden/manifests/1":               bad,
		"/v2/./hidden/manifests/1":              bad,
		"/v2/HIDDEN/manifests/1":                bad,
		"/v2/hidden%00/manifests/1":             bad,
		"/v2/hidden%20/manifests/1":             bad,
		"/v2/*/manifests/1":                     bad,
		"/v2/app,hidden/manifests/1":            bad,
		"/v2/app/manifests/../../hidden/tags/1": nowhere,
		"/V2/hidden/manifests/1":                nowhere,
		"//v2/hidden/manifests/1":               nowhere,
		"/x/../v2/hidden/manifests/1":           nowhere,
		"/acr/v1/hidden/_tags/1":                {403, "DENIED", "metadata/read"},
		"/acr/v1/app/../hidden/_tags/1":         bad,
		"/acr/v1/_deleted/app/_tags":            {403, "DENIED", "scope maps have no action for it"},
		"/acr/v1/_deleted/_catalog":             {403, "DENIED", "scope maps have no action for it"},
		"/v2/hidden/tags/list":                  denied,
		"/v2/hidden/referrers/" + digestOf("x"): denied,
		"/v2/hidden/blobs/" + digestOf(config):  denied,
	} {
		t.Run(path, func(t *testing.T) { get(t, path).refused(t, want) })
	}
}

// The name in Host says which host it is, and nothing else does.
func TestHosts(t *testing.T) {
	w := shared(t)
	p := w.newOne(t, "host", "AcrPull", w.registry(group1, first))
	access := bearer(p.access(t, first, "repository:app:pull"))
	_, port, _ := strings.Cut(w.Published.Suffix(), ":")
	get := func(t *testing.T, head ...string) answer {
		t.Helper()
		return w.do(t, ask{"GET", w.at(first, "/v2/app/manifests/1"), append([]string{"Authorization", access}, head...), ""})
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
	t.Run("management", func(t *testing.T) { get(t, "Host", "management."+w.Published.Suffix()).refused(t, notManagement) })
	t.Run("the directory", func(t *testing.T) { get(t, "Host", "graph."+w.Published.Suffix()).refused(t, notDirectory) })
	for _, head := range []string{"X-Forwarded-Host", "X-Host", "X-Original-Host", "X-Forwarded-Server", "Forwarded"} {
		t.Run(head, func(t *testing.T) {
			value := w.login(second)
			if head == "Forwarded" {
				value = `host="` + value + `";for=127.0.0.1`
			}
			get(t, head, value).ok(t) // it is the first registry that answered
			get(t, "Host", w.login(second), head, w.login(first)).refused(t, notRegistry)
			a := w.do(t, ask{"GET", w.at(first, "/v2/"), []string{head, "evil.example"}, ""})
			if challenge := a.header.Get("WWW-Authenticate"); a.status != 401 || !strings.Contains(challenge, `realm="https://`+good+`/oauth2/token"`) {
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
			w.do(t, ask{"GET", w.at(first, "/v2/app/manifests/1"), []string{"Authorization", access, head, "DELETE"}, ""}).ok(t)
			w.v2(t, first, access, "GET", "/v2/app/manifests/1", "").ok(t)
		})
	}
	t.Run("_method in the query", func(t *testing.T) {
		w.arm(t, p, "GET", path+"?api-version="+armVersion+"&_method=DELETE&method=DELETE", "").ok(t)
		w.arm(t, p, "GET", path, "").ok(t)
	})
	t.Run("TRACE", func(t *testing.T) {
		a := w.do(t, ask{"TRACE", w.at(first, "/v2/app/manifests/1"), []string{"Authorization", basic(refresher, w.admin.refresh(t, first))}, ""})
		a.refused(t, refusal{405, "UNSUPPORTED", "unsupported"})
	})
	t.Run("delete in lower case", func(t *testing.T) {
		w.do(t, ask{"delete", w.Published.URL("management") + versioned(path), []string{"Authorization", bearer(p.armToken(t))}, ""}).refused(t, refusal{405, "MethodNotAllowed", "delete"})
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
		{"management", w.Published.URL("management"), bearer(w.admin.armToken(t)), noToken, refusal{404, "NotFound", "names nothing"}},
		{"login", w.Published.URL("login"), bearer(w.admin.armToken(t)), refusal{404, "invalid_request", ""}, refusal{404, "invalid_request", ""}},
		{"graph", w.Published.URL("graph"), bearer(w.admin.graphToken(t)), emptyToken, refusal{501, "NotImplemented", ""}},
		{"registry", "https://" + w.login(first), basic(refresher, w.admin.refresh(t, first)), refusal{404, "NOT_FOUND", ""}, refusal{404, "NOT_FOUND", ""}},
		{"logs", "https://acrlogs.blob." + w.Published.Suffix(), "x", refusal{403, "AuthenticationFailed", ""}, refusal{403, "AuthenticationFailed", ""}},
	}
	for _, host := range hosts {
		t.Run("control: "+host.name+" answers", func(t *testing.T) {
			if a := w.do(t, ask{"GET", host.url + "/", nil, ""}); a.status >= 500 || a.header.Get("x-ms-request-id") == "" {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
		for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/agents", "/lease", "/acrux.db", "/keys/admin.json", "/.git/config", "/server.json"} {
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
	w.graph(t, w.admin, "POST", "/users", `{"accountEnabled":true,"displayName":"Guessed","mailNickname":"guessed","userPrincipalName":"`+name+
		`","passwordProfile":{"password":"`+password+`","forceChangePasswordNextSignIn":false}}`).ok(t)
	guess := func(t *testing.T, client *http.Client, password string, head ...string) answer {
		t.Helper()
		body := "grant_type=password&username=" + name + "&password=" + password + "&client_id=04b07795-8ddb-461a-bbee-02f9e1bf7b46&scope=" + w.Published.URL("management") + "/.default"
		return send(t, client, ask{"POST", w.tokenURL(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, head...), body})
	}
	from, err := w.clientFrom("127.0.0.9")
	must(t, err)
	elsewhere, err := w.clientFrom("127.0.0.10")
	must(t, err)
	t.Run("control: the right password", func(t *testing.T) { guess(t, elsewhere, password).ok(t) })
	for i := range 10 {
		guess(t, from, "wrong", "X-Forwarded-For", fmt.Sprintf("127.0.0.%d", 100+i), "Forwarded", fmt.Sprintf("for=127.0.0.%d", 100+i)).refused(t, refusal{400, "invalid_grant", "AADSTS50126"})
	}
	locked := refusal{400, "invalid_grant", "AADSTS50053"}
	t.Run("the eleventh guess", func(t *testing.T) { guess(t, from, "wrong", "X-Forwarded-For", "127.0.0.99").refused(t, locked) })
	t.Run("the right password after them", func(t *testing.T) { guess(t, from, password, "X-Real-IP", "127.0.0.98").refused(t, locked) })
	t.Run("in the name of the one who came before", func(t *testing.T) { guess(t, from, password, "X-Forwarded-For", "127.0.0.10").refused(t, locked) })
	t.Run("control: from elsewhere", func(t *testing.T) { guess(t, elsewhere, password).ok(t) })
}
