package door_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// What a repository-scoped token got ends with what was taken from it.
func TestRemovedScopes(t *testing.T) {
	w := shared(t)
	reg := w.registry(group1, first)
	for i, change := range []struct {
		name   string
		remove func(t *testing.T, token scoped)
		after  refusal
		signIn refusal // with the password
	}{
		{"token deleted", func(t *testing.T, token scoped) {
			w.arm(t, w.admin, "DELETE", reg+"/tokens/"+token.name, "").ok(t)
		},
			refusal{401, "UNAUTHORIZED", "was deleted"},
			refusal{401, "UNAUTHORIZED", "the user name or the password is wrong"}},
		{"token disabled", func(t *testing.T, token scoped) {
			w.arm(t, w.admin, "PATCH", reg+"/tokens/"+token.name, `{"properties":{"status":"disabled"}}`).ok(t)
		}, refusal{401, "UNAUTHORIZED", "is disabled"}, refusal{401, "UNAUTHORIZED", "is disabled"}},
		{"password renewed", func(t *testing.T, token scoped) { w.newPassword(t, first, token.name, "") },
			refusal{401, "UNAUTHORIZED", "was renewed or deleted"},
			refusal{401, "UNAUTHORIZED", "the user name or the password is wrong"}},
		{"password removed", func(t *testing.T, token scoped) {
			w.arm(t, w.admin, "PATCH", reg+"/tokens/"+token.name,
				`{"properties":{"credentials":{"passwords":[]}}}`).ok(t)
		}, refusal{401, "UNAUTHORIZED", "was renewed or deleted"},
			refusal{401, "UNAUTHORIZED", "the user name or the password is wrong"}},
		{"scope map narrowed", func(t *testing.T, token scoped) {
			w.setScopeMap(t, token, "repositories/hidden/content/read")
		},
			refusal{403, "DENIED", "needs 'content/read' on repository 'app'"},
			refusal{403, "DENIED", "needs 'content/read' on repository 'app'"}},
		{"another scope map", func(t *testing.T, token scoped) {
			w.arm(t, w.admin, "PATCH", reg+"/tokens/"+token.name,
				`{"properties":{"scopeMapId":"`+reg+`/scopeMaps/_repositories_pull_metadata_read"}}`).ok(t)
			w.arm(t, w.admin, "DELETE", token.scopeMap, "").ok(t)
			w.arm(t, w.admin, "PUT", reg+"/scopeMaps/nothing1",
				`{"properties":{"actions":["repositories/none/content/read"]}}`).ok(t)
			w.arm(t, w.admin, "PATCH", reg+"/tokens/"+token.name,
				`{"properties":{"scopeMapId":"`+reg+`/scopeMaps/nothing1"}}`).ok(t)
		}, refusal{403, "DENIED", "scope map 'nothing1' does not have"},
			refusal{403, "DENIED", "scope map 'nothing1' does not have"}},
	} {
		token := w.scopedToken(t, first, fmt.Sprintf("removed%d", i), "repositories/app/content/read")
		access := w.askPassword(t, first, token, "repository:app:pull").ok(t).text("access_token")
		refresh := w.form(t, w.at(first, "/oauth2/exchange"), "grant_type", "password", "service", w.login(first),
			"username", token.name, "password", token.password).ok(t).text("refresh_token")
		pull := func(authorization string) func(t *testing.T) answer {
			return func(t *testing.T) answer { return w.v2(t, first, authorization, "GET", "/v2/app/manifests/1", "") }
		}
		removal(t, change.name, []held{{"access token", pull(bearer(access)), change.after},
			{"refresh token as a password", pull(basic(refresher, refresh)), change.after},
			{"password", pull(basic(token.name, token.password)), change.signIn}}, func(t *testing.T) {
			change.remove(t, token)
		})
	}
	token := w.scopedToken(t, first, "expiring", "repositories/app/content/read")
	expiry := time.Now().Add(2 * time.Second).UTC()
	token.password = w.newPassword(t, first, token.name, `,"expiry":"`+expiry.Format(time.RFC3339Nano)+`"`)
	access := w.askPassword(t, first, token, "repository:app:pull").ok(t).text("access_token")
	expired := refusal{401, "UNAUTHORIZED", "has expired"}
	removal(t, "password expired", []held{
		{"access token", func(t *testing.T) answer {
			return w.v2(t, first, bearer(access), "GET", "/v2/app/manifests/1", "")
		}, expired},
		{"password", func(t *testing.T) answer {
			return w.v2(t, first, basic(token.name, token.password), "GET", "/v2/app/manifests/1", "")
		}, expired},
	}, func(*testing.T) { time.Sleep(time.Until(expiry) + 50*time.Millisecond) })
}

// A registry that is made where another one was knows nobody from there.
func TestRemovedRegistries(t *testing.T) {
	w := shared(t)
	recreate := map[string]struct {
		group, name string
		remove      func(t *testing.T, path string)
	}{
		"registry": {group2, "vanishing1", func(t *testing.T, path string) {
			w.arm(t, w.admin, "DELETE", path, "").ok(t)
		}},
		"group": {"gvanish", "vanishing2", func(t *testing.T, path string) {
			w.arm(t, w.admin, "DELETE", w.group("gvanish"), "").ok(t)
		}},
	}
	for what, v := range recreate {
		t.Run(what, func(t *testing.T) {
			w.arm(t, w.admin, "PUT", w.group(v.group), `{"location":"eastus"}`).ok(t)
			w.vanish(t, v.group, v.name, v.remove)
		})
	}
}

// vanish takes a registry away and makes it again, with an image in it.
func (w *world) vanish(t *testing.T, group, name string, remove func(t *testing.T, path string)) {
	t.Helper()
	path := w.registry(group, name)
	w.newRegistry(t, group, name)
	w.push(t, name, "app", "1")
	w.arm(t, w.admin, "PATCH", path, `{"properties":{"adminUserEnabled":true}}`).ok(t)
	p := w.newOne(t, "of "+name, "Contributor", path)
	run := w.arm(t, p, "POST", path+"/scheduleRun",
		`{"type":"EncodedTaskRunRequest","platform":{"os":"linux"},`+
			`"encodedTaskContent":"c3RlcHM6IFtdCg=="}`).ok(t).text("properties", "runId")
	link := w.arm(t, p, "POST", path+"/runs/"+run+"/listLogSasUrl", "").ok(t).text("logLink")
	put := w.arm(t, p, "POST", path+"/listBuildSourceUploadUrl", "").ok(t).text("uploadUrl")
	admin := scoped{name: name, password: w.arm(t, w.admin, "POST", path+"/listCredentials",
		"").ok(t).at("passwords", "0").(map[string]any)["value"].(string)}
	adminAccess := w.askPassword(t, name, admin, "repository:app:pull").ok(t).text("access_token")
	access := p.access(t, name, "repository:app:pull")
	refresh := p.refresh(t, name)
	arm := p.armToken(t)
	pull := func(authorization string) func(t *testing.T) answer {
		return func(t *testing.T) answer { return w.v2(t, name, authorization, "GET", "/v2/app/manifests/1", "") }
	}
	off := refusal{401, "UNAUTHORIZED", ""}
	removal(t, "deleted and made again", []held{
		{"management token", func(t *testing.T) answer { return w.armAs(t, arm, "GET", path, "") }, unauthorized},
		{"access token", pull(bearer(access)), denied},
		{"refresh token as a password", pull(basic(refresher, refresh)), denied},
		{"access token of the admin user", pull(bearer(adminAccess)), off},
		{"password of the admin user", pull(basic(name, admin.password)), off},
		{"log URL", func(t *testing.T) answer { return w.do(t, ask{"GET", link, nil, ""}) }, signature},
		{"upload URL", func(t *testing.T) answer {
			return w.do(t, ask{"PUT", put, []string{"x-ms-blob-type", "BlockBlob"}, "x"})
		}, signature},
	}, func(t *testing.T) {
		remove(t, path)
		for name, use := range map[string]func(t *testing.T) answer{"access token": pull(bearer(access)),
			"password of the admin user": pull(basic(name, admin.password))} {
			t.Run("deleted: "+name, func(t *testing.T) { use(t).refused(t, refusal{404, "NAME_UNKNOWN", ""}) })
		}
		w.arm(t, w.admin, "PUT", w.group(group), `{"location":"eastus"}`).ok(t)
		w.newRegistry(t, group, name)
		w.arm(t, w.admin, "PATCH", path, `{"properties":{"adminUserEnabled":true}}`).ok(t)
		w.push(t, name, "app", "1")
	})
	t.Run("the old run is not there", func(t *testing.T) {
		w.arm(t, w.admin, "GET", path+"/runs/"+run, "").refused(t, refusal{404, "ResourceNotFound", ""})
	})
}

// The admin user ends when it is turned off, its tokens with the password.
func TestRemovedAdminUser(t *testing.T) {
	w := shared(t)
	const name = "adminreg"
	path := w.registry(group1, name)
	w.newRegistry(t, group1, name)
	w.push(t, name, "app", "1")
	enable := func(t *testing.T, value string) {
		w.arm(t, w.admin, "PATCH", path, `{"properties":{"adminUserEnabled":`+value+`}}`).ok(t)
	}
	enable(t, "true")
	admin := scoped{name: name}
	read := func(t *testing.T) {
		admin.password = w.arm(t, w.admin, "POST", path+"/listCredentials", "").ok(t).at("passwords",
			"0").(map[string]any)["value"].(string)
	}
	all := func(words, wrong string) []held {
		read(t)
		access := bearer(w.askPassword(t, name, admin, "repository:app:pull").ok(t).text("access_token"))
		password := basic(name, admin.password)
		return []held{
			{"access token", func(t *testing.T) answer {
				return w.v2(t, name, access, "GET", "/v2/app/manifests/1", "")
			}, refusal{401, "UNAUTHORIZED", words}},
			{"password", func(t *testing.T) answer {
				return w.v2(t, name, password, "GET", "/v2/app/manifests/1", "")
			}, refusal{401, "UNAUTHORIZED", wrong}},
		}
	}
	removal(t, "password renewed", all("was renewed", "is wrong"), func(t *testing.T) {
		w.arm(t, w.admin, "POST", path+"/regenerateCredential", `{"name":"password"}`).ok(t)
	})
	removal(t, "turned off", all("admin user", "is wrong"), func(t *testing.T) { enable(t, "false") })
}

// An upload belongs to the run that takes it.
func TestUsedUploads(t *testing.T) {
	w := shared(t)
	p := w.newOne(t, "used", "Contributor", w.group(group1))
	reg := w.registry(group1, first)
	a := w.arm(t, p, "POST", reg+"/listBuildSourceUploadUrl", "").ok(t)
	put := func(query string) func(t *testing.T) answer {
		return func(t *testing.T) answer {
			return w.do(t, ask{"PUT", a.text("uploadUrl") + query, []string{"x-ms-blob-type", "BlockBlob"}, "content"})
		}
	}
	taken := refusal{409, "BlobImmutableDueToPolicy", ""}
	removal(t, "taken by a run", []held{{"whole", put(""), taken},
		{"a block", put("&comp=block&blockid=AAAA"), taken}}, func(t *testing.T) {
		put("")(t).ok(t)
		w.arm(t, p, "POST", reg+"/scheduleRun",
			`{"type":"DockerBuildRequest","platform":{"os":"linux"},"dockerFilePath":"Dockerfile",`+
				`"sourceLocation":"`+a.text("relativePath")+`"}`).ok(t)
	})
	t.Run("in another registry's run", func(t *testing.T) {
		b := w.arm(t, p, "POST", reg+"/listBuildSourceUploadUrl", "").ok(t)
		w.do(t, ask{"PUT", b.text("uploadUrl"), []string{"x-ms-blob-type", "BlockBlob"}, "content"}).ok(t)
		for _, path := range []string{b.text("relativePath"),
			strings.ReplaceAll(b.text("relativePath"), first, first+"/../"+second),
			"../" + b.text("relativePath"), "/etc/passwd", "file:///etc/passwd"} {
			a := w.arm(t, p, "POST", w.registry(group1, second)+"/scheduleRun",
				`{"type":"DockerBuildRequest","platform":{"os":"linux"},"dockerFilePath":"Dockerfile",`+
					`"sourceLocation":"`+path+`"}`)
			if a.status != 404 && a.status != 400 || !strings.Contains(a.body, "SourceLocation") {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
	})
}
