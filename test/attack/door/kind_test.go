package door_test

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// A genuine token opens the door it was made for, and no other.
func TestTokensAtOtherDoors(t *testing.T) {
	w := shared(t)
	f := newForger(t, w)
	p := w.newOne(t, "wanderer", "Contributor", w.group(group1))
	arm, graph := p.armToken(t), p.graphToken(t)
	refresh, access := p.refresh(t, first), p.access(t, first, "repository:app:pull,metadata_read")
	management := func(t *testing.T, token string) answer {
		t.Helper()
		return w.armAs(t, token, "GET", w.registry(group1, first), "")
	}
	directory := func(t *testing.T, token string) answer {
		t.Helper()
		return w.do(t, ask{"GET", w.Published.URL("graph") + "/v1.0/servicePrincipals/" + p.objectID,
			[]string{"Authorization", bearer(token)}, ""})
	}
	pull := func(registry string) func(*testing.T, string) answer {
		return func(t *testing.T, token string) answer {
			t.Helper()
			return w.v2(t, registry, bearer(token), "GET", "/v2/app/manifests/1", "")
		}
	}
	password := func(registry string) func(*testing.T, string) answer {
		return func(t *testing.T, token string) answer {
			t.Helper()
			return w.v2(t, registry, basic(refresher, token), "GET", "/v2/app/manifests/1", "")
		}
	}
	more := func(registry string) func(*testing.T, string) answer {
		return func(t *testing.T, token string) answer {
			t.Helper()
			return w.askAccess(t, registry, token, "repository:app:pull")
		}
	}
	exchange := func(t *testing.T, token string) answer {
		t.Helper()
		return w.form(t, w.at(first, "/oauth2/exchange"), "grant_type", "access_token", "service", w.login(first),
			"access_token", token)
	}
	for _, control := range []struct {
		name, token string
		try         func(*testing.T, string) answer
	}{
		{"management", arm, management}, {"directory", graph, directory}, {"registry", access, pull(first)},
		{"password", refresh, password(first)},
		{"access tokens", refresh, more(first)}, {"exchange", arm, exchange},
		{"second registry", p.access(t, second, "repository:app:pull"), pull(second)},
	} {
		t.Run("control: "+control.name, func(t *testing.T) { control.try(t, control.token).ok(t) })
	}
	otherAudience := refusal{401, "InvalidAuthenticationTokenAudience", "another audience"}
	for _, test := range []struct {
		name, token string
		try         func(*testing.T, string) answer
		want        refusal
	}{
		{"graph token at management", graph, management, otherAudience},
		{"token for a vault at management", p.token(t, w.Published.URL("vault")), management, otherAudience},
		{"token for management's name without https at management",
			p.token(t, strings.TrimPrefix(w.Published.URL("management"), "https://")), management, otherAudience},
		{"token for what begins like management", p.token(t, w.Published.URL("management")+".example"),
			management, otherAudience},
		{"token for a registry's audience at management", p.token(t, "https://containerregistry.azure.net"),
			management, otherAudience},
		{"token for the exchange of tokens at management", p.token(t, "api://AzureADTokenExchange"), management,
			otherAudience},
		{"refresh token at management", refresh, management, notManagement},
		{"access token at management", access, management, notManagement},
		{"ID token at management", f.again(arm, fields{"idtyp": nil}), management, notManagement},
		{"management token at the directory", arm, directory,
			refusal{401, "InvalidAuthenticationToken", "Invalid audience"}},
		{"refresh token at the directory", refresh, directory, notDirectory},
		{"access token at the directory", access, directory, notDirectory},
		{"management token at a registry", arm, pull(first), notRegistry},
		{"token for a registry's audience at a registry", p.token(t, "https://containerregistry.azure.net"),
			pull(first), notRegistry},
		{"token for a registry's name at that registry", p.token(t, first), pull(first), notRegistry},
		{"graph token at a registry", graph, pull(first), notRegistry},
		{"refresh token as an access token", refresh, pull(first), notRegistry},
		{"access token as a refresh token", access, more(first), notRefresh},
		{"access token as a password", access, password(first), notRefresh},
		{"management token as a password", arm, password(first), notRefresh},
		{"management token as a refresh token", arm, more(first), notRefresh},
		{"graph token for exchange", graph, exchange, notExchanged},
		{"refresh token for exchange", refresh, exchange, notExchanged},
		{"access token for exchange", access, exchange, notExchanged},
		{"access token of another registry of the group", access, pull(second), notRegistry},
		{"refresh token of another registry of the group", refresh, more(second), notRefresh},
		{"refresh token of another registry as a password", refresh, password(second), notRefresh},
		{"access token of a registry of another group", access, pull(other), notRegistry},
		{"client secret as a token", p.secret, management, notManagement},
		{"client secret as a refresh token", p.secret, more(first), notRefresh},
	} {
		t.Run(test.name, func(t *testing.T) { test.try(t, test.token).refused(t, test.want) })
	}
}

// A token counts in the one header that is for it.
func TestTokensInOddPlaces(t *testing.T) {
	w := shared(t)
	strong := w.newOne(t, "strong", "Contributor", w.group(group1))
	weak := w.newOne(t, "weak", "AcrPull", w.registry(group1, first))
	arm, graph := strong.armToken(t), strong.graphToken(t)
	refresh, access := strong.refresh(t, first), strong.access(t, first, "repository:app:pull")
	management := w.Published.URL("management") + versioned(w.registry(group1, first))
	directory := w.Published.URL("graph") + "/v1.0/servicePrincipals/" + strong.objectID
	registry := w.at(first, "/v2/app/manifests/1")
	for _, control := range []struct {
		name string
		ask  ask
	}{
		{"management", ask{"GET", management, []string{"Authorization", bearer(arm)}, ""}},
		{"directory", ask{"GET", directory, []string{"Authorization", bearer(graph)}, ""}},
		{"registry", ask{"GET", registry, []string{"Authorization", bearer(access)}, ""}},
		{"a good header before a bad one", ask{"GET", management,
			[]string{"Authorization", bearer(arm), "Authorization", bearer("x")}, ""}},
	} {
		t.Run("control: "+control.name, func(t *testing.T) { w.do(t, control.ask).ok(t) })
	}
	denied := refusal{403, "AuthorizationFailed", weak.objectID}
	for _, test := range []struct {
		name string
		ask  ask
		want refusal
	}{
		{"access_token in management's query", ask{"GET", management + "&access_token=" + arm, nil, ""}, noToken},
		{"Authorization in management's query",
			ask{"GET", management + "&Authorization=" + url.QueryEscape(bearer(arm)), nil, ""}, noToken},
		{"access_token in the directory's query", ask{"GET", directory + "?access_token=" + graph, nil, ""},
			emptyToken},
		{"access_token in a registry's query", ask{"GET", registry + "?access_token=" + access, nil, ""}, notRegistry},
		{"token in a registry's query", ask{"GET", registry + "?token=" + access, nil, ""}, notRegistry},
		{"access_token in a body", ask{"POST", w.at(first, "/v2/app/blobs/uploads/"),
			[]string{"Content-Type", "application/x-www-form-urlencoded"}, "access_token=" + access}, notRegistry},
		{"a cookie", ask{"GET", management, []string{"Cookie", "access_token=" + arm + "; Authorization=" + arm},
			""}, noToken},
		{"X-Authorization", ask{"GET", management,
			[]string{"X-Authorization", bearer(arm), "Proxy-Authorization", bearer(arm)}, ""}, noToken},
		{"X-Forwarded-User", ask{"GET", management,
			[]string{"X-Forwarded-User", strong.objectID, "X-Remote-User", "admin"}, ""}, noToken},
		{"headers of Azure's front end", ask{"GET", management,
			[]string{"x-ms-client-principal-id", strong.objectID, "x-ms-client-object-id", strong.objectID}, ""},
			noToken},
		{"Basic with the token at management",
			ask{"GET", management, []string{"Authorization", basic("x", arm)}, ""}, noToken},
		{"Basic with the secret at management",
			ask{"GET", management, []string{"Authorization", basic(strong.clientID, strong.secret)}, ""}, noToken},
		{"Basic with the secret at the directory",
			ask{"GET", directory, []string{"Authorization", basic(strong.clientID, strong.secret)}, ""}, emptyToken},
		{"the token without its scheme", ask{"GET", management, []string{"Authorization", arm}, ""}, noToken},
		{"the token after another scheme", ask{"GET", management, []string{"Authorization", "Token " + arm}, ""},
			noToken},
		{"two tokens in one header", ask{"GET", management,
			[]string{"Authorization", bearer(arm) + ", " + bearer(arm)}, ""}, notManagement},
		{"a bad header before a good one", ask{"GET", management,
			[]string{"Authorization", bearer("x"), "Authorization", bearer(arm)}, ""}, notManagement},
		{"a weak header before a strong one",
			ask{"PATCH", management, []string{"Authorization", bearer(weak.armToken(t)), "Authorization",
				bearer(arm)}, `{"tags":{}}`}, denied},
		{"a bad header before a good one at a registry",
			ask{"GET", registry, []string{"Authorization", bearer("x"), "Authorization", bearer(access)}, ""},
			notRegistry},
		{"the secret in the query of a token request",
			ask{"POST", w.tokenURL() + "?grant_type=client_credentials&client_id=" + strong.clientID +
				"&client_secret=" + strong.secret + "&scope=x/.default", nil, ""},
			refusal{400, "invalid_request", "grant_type"}},
		{"a refresh token in the query of a registry's token request",
			ask{"POST", w.at(first, "/oauth2/token?grant_type=refresh_token&refresh_token="+refresh), nil, ""},
			refusal{400, "UNSUPPORTED_GRANT_TYPE", ""}},
		{"a refresh token in the query of a GET",
			ask{"GET", w.at(first, "/oauth2/token?scope=repository:app:pull&refresh_token="+refresh), nil, ""},
			refusal{401, "UNAUTHORIZED", "authentication required"}},
	} {
		t.Run(test.name, func(t *testing.T) { w.do(t, test.ask).refused(t, test.want) })
	}
}

// signed is a URL that carries its own permission, and what one may change in it.
func changed(t *testing.T, link string, change func(path string, query url.Values) string) string {
	t.Helper()
	u, err := url.Parse(link)
	must(t, err)
	query := u.Query()
	u.Path = change(u.Path, query)
	u.RawPath = ""
	u.RawQuery = query.Encode()
	return u.String()
}

// Signed URLs open what they were signed for.
func TestSignedURLs(t *testing.T) {
	w := shared(t)
	p := w.newOne(t, "uploader", "Contributor", w.group(group1))
	stranger := w.newPerson(t, "stranger")
	upload := func() string {
		return w.arm(t, p, "POST", w.registry(group1, first)+"/listBuildSourceUploadUrl", "").ok(t).text("uploadUrl")
	}
	run := w.schedule(t, p, first, "").text("properties", "runId")
	link := w.arm(t, p, "POST", w.registry(group1, first)+"/runs/"+run+"/listLogSasUrl", "").ok(t).text("logLink")
	put := func(t *testing.T, target string) answer {
		t.Helper()
		return w.do(t, ask{"PUT", target, []string{"x-ms-blob-type", "BlockBlob"}, "content"})
	}
	get := func(t *testing.T, target string) answer {
		t.Helper()
		return w.do(t, ask{"GET", target, nil, ""})
	}
	t.Run("control: upload", func(t *testing.T) { put(t, upload()).ok(t) })
	t.Run("control: log", func(t *testing.T) { get(t, link).ok(t) })
	forged := refusal{403, "AuthenticationFailed", "<Code>AuthenticationFailed</Code>"}
	later := time.Now().Add(100 * time.Hour).UTC().Format(time.RFC3339)
	bends := []struct {
		name   string
		change func(path string, query url.Values) string
	}{
		{"no signature", func(path string, q url.Values) string { q.Del("sig"); return path }},
		{"an empty signature", func(path string, q url.Values) string { q.Set("sig", ""); return path }},
		{"half of the signature", func(path string, q url.Values) string {
			q.Set("sig", q.Get("sig")[:20])
			return path
		}},
		{"a bad signature before the good one", func(path string, q url.Values) string {
			q["sig"] = []string{"AAAA", q.Get("sig")}
			return path
		}},
		{"a later end", func(path string, q url.Values) string { q.Set("se", later); return path }},
		{"a later end before the signed one", func(path string, q url.Values) string {
			q["se"] = []string{later, q.Get("se")}
			return path
		}},
		{"no end", func(path string, q url.Values) string { q.Del("se"); return path }},
		{"more permissions", func(path string, q url.Values) string { q.Set("sp", "racwdl"); return path }},
		{"more permissions before those signed", func(path string, q url.Values) string {
			q["sp"] = []string{"racwdl", q.Get("sp")}
			return path
		}},
		{"for somebody else", func(path string, q url.Values) string {
			q.Set("skoid", stranger.objectID)
			return path
		}},
		{"for nobody", func(path string, q url.Values) string { q.Del("skoid"); return path }},
		{"for a run", func(path string, q url.Values) string {
			q.Set("run", w.registry(group1, first)+"/runs/"+run)
			return path
		}},
		{"another path", func(path string, _ url.Values) string { return path + "x" }},
		{"a path that goes up", func(path string, _ url.Values) string { return path + "/../../x" }},
		{"a path with two slashes", func(path string, _ url.Values) string { return "/" + path }},
		{"the path of another registry", func(path string, _ url.Values) string {
			return strings.ReplaceAll(path, first, second)
		}},
	}
	for _, b := range bends {
		t.Run("upload: "+b.name, func(t *testing.T) { put(t, changed(t, upload(), b.change)).refused(t, forged) })
		t.Run("log: "+b.name, func(t *testing.T) { get(t, changed(t, link, b.change)).refused(t, forged) })
	}
	mismatch := refusal{403, "AuthorizationPermissionMismatch", ""}
	t.Run("reading by an upload URL", func(t *testing.T) { get(t, upload()).refused(t, mismatch) })
	t.Run("writing by a log URL", func(t *testing.T) { put(t, link).refused(t, mismatch) })
	t.Run("deleting by an upload URL", func(t *testing.T) {
		w.do(t, ask{"DELETE", upload(), nil, ""}).refused(t, refusal{405, "UnsupportedHttpVerb", ""})
	})
	t.Run("an upload URL at the account of logs", func(t *testing.T) {
		put(t, strings.Replace(upload(), "acrctx.", "acrlogs.", 1)).refused(t, forged)
	})
	t.Run("a log URL at the account of uploads", func(t *testing.T) {
		get(t, strings.Replace(link, "acrlogs.", "acrctx.", 1)).refused(t, forged)
	})
	t.Run("the signature of a log for an upload", func(t *testing.T) {
		log, err := url.Parse(link)
		must(t, err)
		put(t, changed(t, upload(), func(path string, q url.Values) string {
			q.Set("sig", log.Query().Get("sig"))
			return path
		})).refused(t, forged)
	})
	t.Run("a signature in a header", func(t *testing.T) {
		w.do(t, ask{"GET", strings.Split(link, "?")[0], []string{"Authorization", "SharedKey acrlogs:AAAA"},
			""}).refused(t, forged)
	})
}
