package registryapi_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/server/servertest"
)

// Nobody gets a token of nobody by POST as by GET, where anonymous pull is enabled; who names
// somebody, or signs in beside the form, is not nobody.
func TestTokenOfNobody(t *testing.T) {
	w := servertest.New(t)
	admin := of(w, "myregistry", w.Admin)
	admin.image(t, "hello", "v1", "layer")
	r := of(w, "myregistry", servertest.Person{})
	of := func(grant string, more ...string) url.Values {
		form := url.Values{"grant_type": {grant}, "service": {r.host}, "scope": {"repository:hello:pull"},
			"client_id": {"docker"}}
		for i := 0; i < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		return form
	}
	forms := map[string]url.Values{
		"password": of("password"), "password, empty": of("password", "username", "", "password", ""),
		"both empty": of("password", "refresh_token", "", "username", ""), "refresh token": of("refresh_token"),
		"refresh token, empty": of("refresh_token", "refresh_token", ""),
	}
	for name, form := range forms {
		if a := r.form("/oauth2/token", form); a.Status != 401 || errorCode(a) != "UNAUTHORIZED" {
			t.Errorf("%s, without anonymous pull: %d %s", name, a.Status, a.Body)
		}
	}
	set(w, `{"anonymousPullEnabled":true}`)
	for _, form := range forms {
		head := bearer(t, r.form("/oauth2/token", form))
		want(t, r.send("GET", "/v2/hello/manifests/v1", "", "Authorization", head), 200, "")
		want(t, r.send("PUT", "/v2/hello/manifests/v2", simple("layer"), "Authorization", head), 401, "UNAUTHORIZED")
	}
	for name, form := range map[string]url.Values{
		"a user": of("password", "username", "me"), "a password": of("password", "password", "x"),
		"a refresh token": of("refresh_token", "refresh_token", "x"), "nobody's name": of("password", "username", nobody),
	} {
		if a := r.form("/oauth2/token", form); a.Status != 401 {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	want(t, r.form("/oauth2/token", url.Values{}), 400, "UNSUPPORTED_GRANT_TYPE")
	want(t, r.form("/oauth2/exchange", of("password")), 401, "UNAUTHORIZED")
	form := of("password").Encode()
	beside := []string{"Content-Type", "application/x-www-form-urlencoded", "Authorization"}
	a := admin.send("POST", "/oauth2/token", form, beside[:2]...)
	_, access, err := w.Issuer.VerifyAccess(t.Context(), strings.TrimPrefix(bearer(t, a), "Bearer "), "myregistry")
	if err != nil || len(access) != 1 {
		t.Errorf("Basic beside a form of nobody: %v %v", access, err)
	}
	want(t, r.send("POST", "/oauth2/token", form, append(beside, basic("who", "ever"))...), 401, "UNAUTHORIZED")
}

// What the listings of nobody have is what a puller's have.
func TestListingsOfNobody(t *testing.T) {
	w := servertest.New(t)
	admin := of(w, "myregistry", w.Admin)
	admin.image(t, "a/b", "v1", "layer")
	set(w, `{"anonymousPullEnabled":true}`)
	for _, below := range []string{"/_tags", "/_tags?n=1&orderby=timedesc", "/_manifests", ""} {
		path := "/acr/v1/a/b" + below
		a := w.Do(servertest.Request{Method: "GET", URL: "https://" + admin.host + path})
		if own := admin.send("GET", path, ""); a.Status != 200 || a.Body != own.Body {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}

// Manifests without a media type of their own, as helm 4 sends them, are kept as they are, and
// are the same by tag and by digest.
func TestManifestWithoutMediaType(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	child := r.image(t, "charts/app", "1.0.0", "layer")
	chart := strings.Replace(child, `"mediaType":"`+imageType+`",`, "", 1)
	list := `{"schemaVersion":2,"manifests":[{"mediaType":"` + imageType + `",` +
		`"digest":"` + digestOf(chart) + `","size":1}]}`
	for _, test := range []struct{ body, mediaType string }{{chart, imageType}, {list, indexType}} {
		d := digestOf(test.body)
		for _, reference := range []string{"2.0.0", d, "2.0.0", d} {
			for _, sent := range []string{test.mediaType, test.mediaType + "; charset=utf-8"} {
				want(t, r.send("PUT", "/v2/charts/app/manifests/"+reference, test.body, "Content-Type", sent), 201, "")
			}
		}
		for _, reference := range []string{"2.0.0", d} {
			a := r.send("GET", "/v2/charts/app/manifests/"+reference, "", "Accept", test.mediaType)
			if a.Status != 200 || a.Body != test.body || a.Header.Get("Content-Type") != test.mediaType ||
				a.Header.Get("Docker-Content-Digest") != d {
				t.Errorf("%s: %d %v %s", reference, a.Status, a.Header, a.Body)
			}
		}
	}
	want(t, r.send("PUT", "/v2/charts/app/manifests/3.0.0", chart), 400, "MANIFEST_INVALID") // nobody says what it is
}

// The ways in which clients ask for tokens: docker with containerd's store, helm and oras post
// a password; some ask for no scope to see whether the password counts, and some put several
// scopes into one parameter.
func TestUsualTokenRequests(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	user, password := string(w.Admin.ClientID), w.Admin.Secret
	both := []string{"repository:a:pull", "repository:b/c:pull,push"}
	for name, test := range map[string]struct {
		scope []string
		n     int
	}{
		"none": {nil, 0}, "empty": {[]string{""}, 0}, "one": {both[:1], 1}, "two parameters": {both, 2},
		"one with a blank": {[]string{strings.Join(both, " ")}, 2},
		"blanks":           {[]string{"  " + strings.Join(both, "   ") + " "}, 2},
		"both ways":        {[]string{strings.Join(both, " "), "registry:catalog:*"}, 3},
	} {
		query := url.Values{"service": {r.host}, "scope": test.scope, "account": {user}, "client_id": {"docker"},
			"offline_token": {"true"}}
		form := url.Values{"grant_type": {"password"}, "service": {r.host}, "client_id": {"containerd-client"},
			"scope": test.scope, "username": {user}, "password": {password}, "access_type": {"offline"}}
		got, posted := r.send("GET", "/oauth2/token?"+query.Encode(), ""), r.form("/oauth2/token", form)
		for _, a := range []servertest.Answer{got, posted} {
			head := bearer(t, a)
			_, access, err := w.Issuer.VerifyAccess(t.Context(), strings.TrimPrefix(head, "Bearer "), "myregistry")
			if err != nil || len(access) != test.n {
				t.Errorf("%s: %v %v", name, access, err)
			}
			want(t, r.send("GET", "/v2/", "", "Authorization", head), 200, "")
		}
	}
}

// Mount queries come as they are, without escapes, and escaped.
func TestMountQueries(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	r.blob(t, "team/from", "layer")
	d := digestOf("layer")
	for i, query := range []string{
		"mount=" + d + "&from=team/from", "from=team/from&mount=" + d,
		"mount=" + url.QueryEscape(d) + "&from=" + url.QueryEscape("team/from"),
		"mount=" + d + "&from=team%2Ffrom", "mount=" + d,
	} {
		to := "to" + strconv.Itoa(i)
		want(t, r.send("POST", "/v2/"+to+"/blobs/uploads/?"+query, ""), 201, "")
		want(t, r.send("HEAD", "/v2/"+to+"/blobs/"+d, ""), 200, "")
	}
}

// What is not there is told in the words that scripts look for, docker's and ACR's.
func TestUnknownManifest(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	r.image(t, "hello", "v1", "layer")
	for reference, message := range map[string]string{
		"v2": `manifest tagged by "v2" is not found`, digestOf("x"): "manifest " + digestOf("x") + " is not found",
	} {
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			a := r.send(method, "/v2/hello/manifests/"+reference, "")
			text, _ := firstError(a)["message"].(string)
			if method == http.MethodDelete && reference == "v2" {
				want(t, a, 404, "TAG_UNKNOWN")
				continue
			}
			if want(t, a, 404, "MANIFEST_UNKNOWN"); !strings.HasPrefix(text, message) {
				t.Errorf("%s %s: %s", method, reference, text)
			}
		}
	}
}

// Whoever may come back is told when.
func TestRetryAfter(t *testing.T) {
	w := servertest.New(t)
	r := of(w, "myregistry", w.Admin)
	for range 1000 {
		want(t, r.send("POST", "/v2/hello/blobs/uploads/", ""), 202, "")
	}
	a := r.send("POST", "/v2/hello/blobs/uploads/", "")
	want(t, a, 429, "TOOMANYREQUESTS")
	equal(t, a.Header.Get("Retry-After"), "5")
}
