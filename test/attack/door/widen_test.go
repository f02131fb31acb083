package door_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// covers is what an access token says that it is for.
func covers(t *testing.T, token string) string {
	t.Helper()
	_, claims, _ := open(token)
	text, err := json.Marshal(claims["access"])
	must(t, err)
	return string(text)
}

// Who asks for more than he may gets what he may, and what he may not is refused when he
// tries it with that token.
func TestWidenedScopes(t *testing.T) {
	w := shared(t)
	reader := w.newOne(t, "puller", "AcrPull", w.registry(group1, first))
	refresh := reader.refresh(t, first)
	grant := func(t *testing.T, scopes ...string) string {
		t.Helper()
		return w.accessFor(t, first, refresh, scopes...)
	}
	const nothing = "null"
	pull := func(name string) string { return `[{"actions":["pull"],"name":"` + name + `","type":"repository"}]` }
	both := `[{"actions":["pull","metadata_read"],"name":"app","type":"repository"}]`
	for _, test := range []struct {
		name string
		ask  []string
		want string
	}{
		{"control: pull", []string{"repository:app:pull"}, pull("app")},
		{"control: two scopes", []string{"repository:app:pull", "repository:hidden:pull"},
			strings.TrimSuffix(pull("app"), "]") + "," + strings.TrimPrefix(pull("hidden"), "[")},
		{"push as well", []string{"repository:app:pull,push"}, pull("app")},
		{"push and delete as well", []string{"repository:app:pull,push,delete"}, pull("app")},
		{"push alone", []string{"repository:app:push"}, nothing},
		{"delete alone", []string{"repository:app:delete"}, nothing},
		{"all there is", []string{"repository:app:*"}, both},
		{"metadata, to write as well", []string{"repository:app:pull,metadata_read,metadata_write"}, both},
		{"what was deleted", []string{"repository:app:deleted_read,deleted_restore"}, nothing},
		{"an action that is none", []string{"repository:app:admin,pull,root"}, pull("app")},
		{"PULL,PUSH", []string{"repository:app:PUSH,DELETE"}, nothing},
		{"the catalogue of the registry in a repository", []string{"repository:app:catalog"}, nothing},
		{"the catalogue of what was deleted", []string{"registry:deleted_catalog:*"}, nothing},
		{"a registry that is no catalogue", []string{"registry:None:*"}, nothing},
		{"everything of everything", []string{"registry:*:*"}, nothing},
		{"another type", []string{"repository(plugin):app:pull"}, nothing},
		{"no type", []string{":app:pull"}, nothing},
		{"dots", []string{"repository:../app:pull"}, nothing},
		{"dots in between", []string{"repository:app/../hidden:pull"}, nothing},
		{"upper case", []string{"repository:APP:pull"}, nothing},
		{"a slash in front", []string{"repository:/app:pull"}, nothing},
		{"a name with a blank", []string{"repository:app hidden:pull"}, nothing},
		{"a host in front", []string{"repository:example.com/app:push"}, nothing},
		{"no name", []string{"repository::pull"}, nothing},
		{"no actions", []string{"repository:app:"}, nothing},
		{"one word", []string{"repository"}, nothing},
		{"good and bad together", []string{"repository:app:pull repository:hidden:push registry:*:*"}, pull("app")},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := covers(t, grant(t, test.ask...)); got != test.want {
				t.Errorf("%q: granted %s, want %s", test.ask, got, test.want)
			}
		})
	}
	uploads, manifestPath := "/v2/app/blobs/uploads/", "/v2/app/manifests/1"
	wide := bearer(grant(t, "repository:app:pull,push,delete,metadata_read,metadata_write,deleted_read,"+
		"deleted_restore", "registry:catalog:*"))
	narrow := bearer(grant(t, "repository:hidden:pull"))
	t.Run("control: using it", func(t *testing.T) { w.v2(t, first, wide, "GET", manifestPath, "").ok(t) })
	denied := refusal{403, "DENIED", "requested access to the resource is denied"}
	lacking := toAzure(denied)
	for _, test := range []struct {
		name, who, method, path, body string
		want                          refusal
	}{
		{"upload", wide, "POST", uploads, "", denied},
		{"put a manifest", wide, "PUT", manifestPath, manifest("x"), denied},
		{"delete a manifest", wide, "DELETE", "/v2/app/manifests/" + digestOf(manifest("app")), "", denied},
		{"delete a tag", wide, "DELETE", "/acr/v1/app/_tags/1", "", lacking},
		{"delete a blob", wide, "DELETE", "/v2/app/blobs/" + digestOf(config), "", denied},
		{"delete the repository", wide, "DELETE", "/acr/v1/app", "", lacking},
		{"lock", wide, "PATCH", "/acr/v1/app/_tags/1", `{"deleteEnabled":false}`, lacking},
		{"purge", wide, "POST", "/acr/v1/app/_purge", `{"before":"2030-01-01T00:00:00Z","untagged":true}`, lacking},
		{"list what was deleted", wide, "GET", "/acr/v1/_deleted/app/_tags", "", lacking},
		{"restore", wide, "POST", "/acr/v1/_deleted/app/_manifests/" + digestOf("x"), "", lacking},
		{"another repository", narrow, "GET", manifestPath, "", notRegistry},
		{"another repository's tags", narrow, "GET", "/v2/app/tags/list", "", notRegistry},
		{"the catalogue with a repository's token", narrow, "GET", "/v2/_catalog", "", denied},
	} {
		t.Run("then "+test.name, func(t *testing.T) {
			w.v2(t, first, test.who, test.method, test.path, test.body).refused(t, test.want)
		})
	}
}

// A repository-scoped token sees and does what its scope map has, and nothing beside it.
func TestScopeMapsHold(t *testing.T) {
	w := shared(t)
	for _, repository := range []string{"team/a", "teamwork", "team-b/a", "secret/x"} {
		w.push(t, first, repository, "1")
	}
	token := w.scopedToken(t, first, "teams", "repositories/team/*/content/read",
		"repositories/team/*/content/write", "repositories/team/*/metadata/read")
	who := basic(token.name, token.password)
	call := func(t *testing.T, method, path, body string) answer {
		t.Helper()
		return w.v2(t, first, who, method, path, body)
	}
	for _, path := range []string{"/v2/team/a/manifests/1", "/v2/team/a/tags/list", "/acr/v1/team/a/_tags",
		"/v2/team/a/referrers/" + digestOf("x"), "/v2/"} {
		t.Run("control: "+path, func(t *testing.T) { call(t, "GET", path, "").ok(t) })
	}
	t.Run("control: push", func(t *testing.T) { call(t, "PUT", "/v2/team/a/manifests/2", manifest("team/a")).ok(t) })
	denied := refusal{403, "DENIED", "which its scope map 'teams' does not have"}
	for _, repository := range []string{"teamwork", "team-b/a", "secret/x", "app", "team"} {
		for _, request := range []struct{ method, path, body string }{
			{"GET", "/v2/NAME/manifests/1", ""}, {"GET", "/v2/NAME/tags/list", ""},
			{"GET", "/v2/NAME/blobs/" + digestOf(config), ""},
			{"GET", "/v2/NAME/referrers/" + digestOf("x"), ""}, {"GET", "/acr/v1/NAME", ""},
			{"PUT", "/v2/NAME/manifests/9", manifest("x")},
			{"DELETE", "/v2/NAME/manifests/1", ""}, {"POST", "/v2/NAME/blobs/uploads/", ""},
		} {
			path := strings.Replace(request.path, "NAME", repository, 1)
			want := denied
			if strings.HasPrefix(path, "/acr/") {
				want = toAzure(denied)
			}
			t.Run(request.method+" "+path, func(t *testing.T) {
				call(t, request.method, path, request.body).refused(t, want)
			})
		}
	}
	t.Run("deleting in one's own", func(t *testing.T) {
		call(t, "DELETE", "/v2/team/a/manifests/1", "").refused(t,
			refusal{403, "DENIED", "needs 'content/delete' on repository 'team/a'"})
	})
	t.Run("locking in one's own", func(t *testing.T) {
		call(t, "PATCH", "/acr/v1/team/a/_tags/1", `{"writeEnabled":false}`).refused(t,
			toAzure(refusal{403, "DENIED", "metadata/write"}))
	})
	for _, path := range []string{"/v2/_catalog", "/acr/v1/_catalog", "/v2/_catalog?n=1", "/v2/_catalog?last=r"} {
		t.Run("the catalogue has one's own: "+path, func(t *testing.T) {
			got := call(t, "GET", path, "").ok(t).body
			if strings.Contains(got, "teamwork") || strings.Contains(got, "team-b") ||
				strings.Contains(got, "secret") || strings.Contains(got, "app") || !strings.Contains(got, "team/a") {
				t.Errorf("got %s", got)
			}
		})
	}
	t.Run("a token for more", func(t *testing.T) {
		got := covers(t, w.askPassword(t, first, token, "repository:team/a:pull,push,delete",
			"repository:secret/x:pull", "repository:*:*").ok(t).text("access_token"))
		if got != `[{"actions":["pull","push"],"name":"team/a","type":"repository"}]` {
			t.Errorf("granted %s", got)
		}
	})
	t.Run("management", func(t *testing.T) {
		w.do(t, ask{"GET", w.Published.URL("management") + versioned(w.registry(group1, first)),
			[]string{"Authorization", who}, ""}).refused(t, noToken)
	})
	t.Run("a wrong password", func(t *testing.T) {
		w.v2(t, first, basic(token.name, token.password+"x"), "GET", "/v2/", "").refused(t,
			refusal{401, "UNAUTHORIZED", "the user name or the password is wrong"})
	})
	t.Run("an empty password", func(t *testing.T) {
		w.v2(t, first, basic(token.name, ""), "GET", "/v2/", "").refused(t,
			refusal{401, "UNAUTHORIZED", "the user name or the password is wrong"})
	})
	t.Run("the password at another registry", func(t *testing.T) {
		w.v2(t, second, who, "GET", "/v2/", "").refused(t,
			refusal{401, "UNAUTHORIZED", "the user name or the password is wrong"})
	})
}

// A mount is a pull from where the blob is: who may not pull there begins an upload, as if
// there were no such blob.
func TestMounts(t *testing.T) {
	w := shared(t)
	admin := basic(refresher, w.admin.refresh(t, first))
	blob := func(name string) string {
		w.addBlob(t, first, admin, name, name+" only")
		return digestOf(name + " only")
	}
	visible, hidden := blob("mount/visible"), blob("unseen/blob")
	token := w.scopedToken(t, first, "mounter", "repositories/mount/*/content/read",
		"repositories/mount/*/content/write")
	who := basic(token.name, token.password)
	mount := func(t *testing.T, who, digest, from string) answer {
		t.Helper()
		query := "?mount=" + url.QueryEscape(digest)
		if from != "" {
			query += "&from=" + url.QueryEscape(from)
		}
		return w.v2(t, first, who, "POST", "/v2/mount/target/blobs/uploads/"+query, "")
	}
	t.Run("control", func(t *testing.T) {
		if a := mount(t, who, visible, "mount/visible"); a.status != 201 {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
	for name, from := range map[string]string{"hidden": "unseen/blob", "not named": "",
		"dots": "mount/../unseen/blob", "upper case": "UNSEEN/blob", "not there": "nowhere",
		"its own": "mount/target", "another registry": second + "/app"} {
		t.Run(name, func(t *testing.T) {
			if a := mount(t, who, hidden, from); a.status != 202 || strings.Contains(a.header.Get("Location"), hidden) {
				t.Errorf("%d %v", a.status, a.header)
			}
			w.v2(t, first, admin, "GET", "/v2/mount/target/blobs/"+hidden, "").refused(t,
				refusal{404, "BLOB_UNKNOWN", ""})
		})
	}
	t.Run("hidden from a token of a role", func(t *testing.T) {
		pusher := w.newOne(t, "pusher", "AcrPush", w.registry(group1, first))
		narrow := bearer(pusher.access(t, first, "repository:mount/target:pull,push"))
		a := mount(t, narrow, hidden, "unseen/blob")
		a.refused(t, notRegistry)
		if challenge := a.header.Get("WWW-Authenticate"); !strings.Contains(challenge, "repository:unseen/blob:pull") {
			t.Errorf("the challenge is %s", challenge)
		}
	})
	t.Run("control: a manifest that names what is there", func(t *testing.T) {
		w.v2(t, first, who, "PUT", "/v2/mount/target/manifests/1",
			strings.ReplaceAll(withLayer("x"), "LAYER", visible)).ok(t)
	})
	t.Run("a manifest that names what is hidden", func(t *testing.T) {
		w.v2(t, first, who, "PUT", "/v2/mount/target/manifests/2", strings.ReplaceAll(withLayer("x"), "LAYER", hidden)).
			refused(t, refusal{400, "MANIFEST_BLOB_UNKNOWN", ""})
	})
}

// withLayer is a manifest with LAYER as configuration.
func withLayer(name string) string {
	return strings.Replace(manifest(name), digestOf(config), "LAYER", 1)
}

// toAzure is a denial as the metadata API has it, for Azure's clients.
func toAzure(r refusal) refusal {
	r.status, r.code = 401, "UNAUTHORIZED"
	return r
}
