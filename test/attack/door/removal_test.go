package door_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// held is something that somebody still has when the right to it is taken away.
type held struct {
	name  string
	use   func(t *testing.T) answer
	after refusal
}

// removal tries all that is held, takes the right away, and tries it again at once: what
// the API has answered counts from the next request on.
func removal(t *testing.T, name string, all []held, remove func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		for _, h := range all {
			t.Run("control: "+h.name, func(t *testing.T) { h.use(t).ok(t) })
		}
		remove(t)
		for _, h := range all {
			t.Run(h.name, func(t *testing.T) { h.use(t).refused(t, h.after) })
		}
	})
}

var (
	denied       = refusal{403, "DENIED", "requested access to the resource is denied"}
	unauthorized = refusal{403, "AuthorizationFailed", ""}
	gone         = refusal{401, "UNAUTHORIZED", "the principal of the token was deleted or disabled"}
	signature    = refusal{403, "AuthenticationFailed", ""}
)

// holdings are what somebody with a role in a group gets from all hosts.
func (w *world) holdings(t *testing.T, p *person) (management, pull, refresh, signIn, upload, log func(*testing.T) answer) {
	t.Helper()
	reg := w.registry(group1, first)
	run := w.schedule(t, p, first, "").text("properties", "runId")
	arm, token, access := p.armToken(t), p.refresh(t, first), bearer(p.access(t, first, "repository:app:pull"))
	put := w.arm(t, p, "POST", reg+"/listBuildSourceUploadUrl", "").ok(t).text("uploadUrl")
	get := w.arm(t, p, "POST", reg+"/runs/"+run+"/listLogSasUrl", "").ok(t).text("logLink")
	management = func(t *testing.T) answer { return w.armAs(t, arm, "GET", reg, "") }
	pull = func(t *testing.T) answer { return w.v2(t, first, access, "GET", "/v2/app/manifests/1", "") }
	refresh = func(t *testing.T) answer {
		return w.v2(t, first, basic(refresher, token), "GET", "/v2/app/manifests/1", "")
	}
	signIn = func(t *testing.T) answer {
		return w.v2(t, first, basic(p.clientID, p.secret), "GET", "/v2/app/manifests/1", "")
	}
	upload = func(t *testing.T) answer {
		return w.do(t, ask{"PUT", put, []string{"x-ms-blob-type", "BlockBlob"}, "x"})
	}
	log = func(t *testing.T) answer { return w.do(t, ask{"GET", get, nil, ""}) }
	return management, pull, refresh, signIn, upload, log
}

func TestRemovedRoles(t *testing.T) {
	w := shared(t)
	p := w.newPerson(t, "unassigned")
	granted := w.assign(t, p.objectID, "Contributor", w.group(group1))
	management, pull, refresh, signIn, upload, log := w.holdings(t, p)
	token := p.refresh(t, first)
	removal(t, "assignment removed", []held{
		{"management token", management, unauthorized}, {"access token", pull, denied}, {"refresh token as a password", refresh, denied},
		{"client secret at the registry", signIn, denied}, {"upload URL", upload, signature}, {"log URL", log, signature},
		{"identity token for a refresh token", func(t *testing.T) answer { return p.exchange(t, first) }, denied},
	}, func(t *testing.T) { w.arm(t, w.admin, "DELETE", granted, "").ok(t) })
	t.Run("refresh token for an access token", func(t *testing.T) {
		if got := covers(t, w.accessFor(t, first, token, "repository:app:pull,push,delete", "registry:catalog:*")); got != "null" {
			t.Errorf("it covers %s", got)
		}
	})
}

func TestRemovedPrincipals(t *testing.T) {
	w := shared(t)
	byDirectory := func(p *person) func(t *testing.T) answer {
		token := p.graphToken(t)
		return func(t *testing.T) answer {
			return w.do(t, ask{"GET", w.Published.URL("graph") + "/v1.0/servicePrincipals", []string{"Authorization", bearer(token)}, ""})
		}
	}
	again := func(p *person) func(t *testing.T) answer {
		return func(t *testing.T) answer { return p.signIn(t, w.Published.URL("management")) }
	}
	more := func(p *person) func(t *testing.T) answer {
		token := p.refresh(t, first)
		return func(t *testing.T) answer { return w.askAccess(t, first, token, "repository:app:pull") }
	}
	wrong := refusal{401, "UNAUTHORIZED", "the user name or the password is wrong"}
	p := w.newOne(t, "deleted", "Contributor", w.group(group1))
	management, pull, refresh, signIn, upload, log := w.holdings(t, p)
	removal(t, "principal deleted", []held{
		{"management token", management, refusal{401, "InvalidAuthenticationToken", "was deleted"}}, {"access token", pull, denied},
		{"refresh token as a password", refresh, denied}, {"client secret at the registry", signIn, wrong},
		{"upload URL", upload, signature}, {"log URL", log, signature}, {"directory token", byDirectory(p), refusal{401, "InvalidAuthenticationToken", "was deleted"}},
		{"client secret", again(p), refusal{400, "unauthorized_client", "AADSTS700016"}}, {"refresh token for an access token", more(p), gone},
		{"identity token for a refresh token", func(t *testing.T) answer { return p.exchange(t, first) }, gone},
	}, func(t *testing.T) { w.graph(t, w.admin, "DELETE", "/servicePrincipals/"+p.objectID, "").ok(t) })

	q := w.newOne(t, "disabled", "Contributor", w.group(group1))
	management, pull, refresh, signIn, upload, log = w.holdings(t, q)
	removal(t, "principal disabled", []held{
		{"management token", management, refusal{403, "AuthorizationFailed", "is disabled"}}, {"access token", pull, denied},
		{"refresh token as a password", refresh, denied}, {"client secret at the registry", signIn, wrong},
		{"upload URL", upload, signature}, {"log URL", log, signature}, {"directory token", byDirectory(q), refusal{401, "InvalidAuthenticationToken", "is disabled"}},
		{"client secret", again(q), refusal{401, "invalid_client", "AADSTS7000112"}}, {"refresh token for an access token", more(q), gone},
		{"identity token for a refresh token", func(t *testing.T) answer { return q.exchange(t, first) }, gone},
	}, func(t *testing.T) {
		w.graph(t, w.admin, "PATCH", "/servicePrincipals/"+q.objectID, `{"accountEnabled":false}`).ok(t)
	})

	r := w.newOne(t, "another secret", "AcrPull", w.registry(group1, first))
	removal(t, "secret removed", []held{{"client secret", again(r), refusal{401, "invalid_client", "AADSTS7000215"}},
		{"client secret at the registry", func(t *testing.T) answer {
			return w.v2(t, first, basic(r.clientID, r.secret), "GET", "/v2/app/manifests/1", "")
		}, wrong},
		{"client secret for a token of the registry", func(t *testing.T) answer {
			return w.askPassword(t, first, scoped{name: r.clientID, password: r.secret}, "repository:app:pull")
		}, wrong},
	}, func(t *testing.T) {
		w.graph(t, w.admin, "POST", "/applications/"+r.appID+"/removePassword", `{"keyId":"`+r.keyID+`"}`).ok(t)
	})
}

// A managed identity of another issuer signs in as long as it is there, and its trust is.
func TestRemovedIdentities(t *testing.T) {
	w := shared(t)
	const audience = "api://AzureADTokenExchange"
	subject := w.newPerson(t, "subject")
	identity := func(name string) (path, clientID string, signIn func(t *testing.T) answer) {
		path = w.group(group1) + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + name
		made := w.arm(t, w.admin, "PUT", path, `{"location":"eastus"}`).ok(t)
		w.arm(t, w.admin, "PUT", path+"/federatedIdentityCredentials/own", fmt.Sprintf(`{"properties":{"issuer":"%s/%s/","subject":"%s","audiences":["%s"]}}`,
			w.Published.URL("login"), w.Published.TenantID, subject.objectID, audience)).ok(t)
		w.assign(t, made.text("properties", "principalId"), "AcrPull", w.registry(group1, first))
		clientID = made.text("properties", "clientId")
		return path, clientID, func(t *testing.T) answer {
			return w.form(t, w.tokenURL(), "grant_type", "client_credentials", "client_id", clientID, "scope", w.Published.URL("management")+"/.default",
				"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", subject.token(t, audience))
		}
	}
	path, _, signIn := identity("trusted1")
	removal(t, "trust removed", []held{{"assertion", signIn, refusal{401, "invalid_client", "AADSTS700211"}}}, func(t *testing.T) {
		w.arm(t, w.admin, "DELETE", path+"/federatedIdentityCredentials/own", "").ok(t)
	})
	path, _, signIn = identity("managed1")
	token := signIn(t).ok(t).text("access_token")
	refresh := w.form(t, w.at(first, "/oauth2/exchange"), "grant_type", "access_token", "service", w.login(first), "access_token", token).ok(t).text("refresh_token")
	access := bearer(w.accessFor(t, first, refresh, "repository:app:pull"))
	removal(t, "identity deleted", []held{
		{"assertion", signIn, refusal{400, "unauthorized_client", "AADSTS700016"}},
		{"management token", func(t *testing.T) answer { return w.armAs(t, token, "GET", "/subscriptions", "") }, refusal{401, "InvalidAuthenticationToken", "was deleted"}},
		{"refresh token", func(t *testing.T) answer { return w.askAccess(t, first, refresh, "repository:app:pull") }, gone},
		{"access token", func(t *testing.T) answer { return w.v2(t, first, access, "GET", "/v2/app/manifests/1", "") }, denied},
	}, func(t *testing.T) { w.arm(t, w.admin, "DELETE", path, "").ok(t) })
	_, _, signIn = identity("orphan1")
	removal(t, "subject disabled", []held{{"assertion", signIn, refusal{401, "invalid_client", "AADSTS700027"}}}, func(t *testing.T) {
		w.graph(t, w.admin, "PATCH", "/servicePrincipals/"+subject.objectID, `{"accountEnabled":false}`).ok(t)
	})
}

// A person's refresh token ends with his password, and with him.
func TestRemovedUsers(t *testing.T) {
	w := shared(t)
	const password = "First-Password-4711"
	for i, change := range []struct {
		name   string
		remove func(t *testing.T, id string)
		after  refusal
	}{
		{"another password", func(t *testing.T, id string) {
			w.graph(t, w.admin, "PATCH", "/users/"+id, `{"passwordProfile":{"password":"Second-Password-4711","forceChangePasswordNextSignIn":false}}`).ok(t)
		}, refusal{400, "invalid_grant", "AADSTS70043"}},
		{"disabled", func(t *testing.T, id string) {
			w.graph(t, w.admin, "PATCH", "/users/"+id, `{"accountEnabled":false}`).ok(t)
		}, refusal{400, "invalid_grant", "AADSTS70043"}},
		{"deleted", func(t *testing.T, id string) { w.graph(t, w.admin, "DELETE", "/users/"+id, "").ok(t) }, refusal{400, "invalid_grant", "AADSTS70043"}},
	} {
		name := fmt.Sprintf("user%d@acrux.example", i)
		id := w.graph(t, w.admin, "POST", "/users", `{"accountEnabled":true,"displayName":"U","mailNickname":"u","userPrincipalName":"`+name+
			`","passwordProfile":{"password":"`+password+`","forceChangePasswordNextSignIn":false}}`).ok(t).text("id")
		scope := w.Published.URL("management") + "/.default offline_access"
		const client = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
		signIn := func(t *testing.T) answer {
			return w.form(t, w.tokenURL(), "grant_type", "password", "username", name, "password", password, "client_id", client, "scope", scope)
		}
		refresh := signIn(t).ok(t).text("refresh_token")
		removal(t, change.name, []held{
			{"refresh token", func(t *testing.T) answer {
				return w.form(t, w.tokenURL(), "grant_type", "refresh_token", "refresh_token", refresh, "client_id", client, "scope", scope)
			}, change.after},
		}, func(t *testing.T) { change.remove(t, id) })
		t.Run(change.name+": the old password", func(t *testing.T) {
			if a := signIn(t); a.status != 400 || a.code() != "invalid_grant" {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}

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
		{"token deleted", func(t *testing.T, token scoped) { w.arm(t, w.admin, "DELETE", reg+"/tokens/"+token.name, "").ok(t) },
			refusal{401, "UNAUTHORIZED", "was deleted"}, refusal{401, "UNAUTHORIZED", "the user name or the password is wrong"}},
		{"token disabled", func(t *testing.T, token scoped) {
			w.arm(t, w.admin, "PATCH", reg+"/tokens/"+token.name, `{"properties":{"status":"disabled"}}`).ok(t)
		}, refusal{401, "UNAUTHORIZED", "is disabled"}, refusal{401, "UNAUTHORIZED", "is disabled"}},
		{"password renewed", func(t *testing.T, token scoped) { w.newPassword(t, first, token.name, "") },
			refusal{401, "UNAUTHORIZED", "was renewed or deleted"}, refusal{401, "UNAUTHORIZED", "the user name or the password is wrong"}},
		{"password removed", func(t *testing.T, token scoped) {
			w.arm(t, w.admin, "PATCH", reg+"/tokens/"+token.name, `{"properties":{"credentials":{"passwords":[]}}}`).ok(t)
		}, refusal{401, "UNAUTHORIZED", "was renewed or deleted"}, refusal{401, "UNAUTHORIZED", "the user name or the password is wrong"}},
		{"scope map narrowed", func(t *testing.T, token scoped) { w.setScopeMap(t, token, "repositories/hidden/content/read") },
			refusal{403, "DENIED", "needs 'content/read' on repository 'app'"}, refusal{403, "DENIED", "needs 'content/read' on repository 'app'"}},
		{"another scope map", func(t *testing.T, token scoped) {
			w.arm(t, w.admin, "PATCH", reg+"/tokens/"+token.name, `{"properties":{"scopeMapId":"`+reg+`/scopeMaps/_repositories_pull_metadata_read"}}`).ok(t)
			w.arm(t, w.admin, "DELETE", token.scopeMap, "").ok(t)
			w.arm(t, w.admin, "PUT", reg+"/scopeMaps/nothing1", `{"properties":{"actions":["repositories/none/content/read"]}}`).ok(t)
			w.arm(t, w.admin, "PATCH", reg+"/tokens/"+token.name, `{"properties":{"scopeMapId":"`+reg+`/scopeMaps/nothing1"}}`).ok(t)
		}, refusal{403, "DENIED", "scope map 'nothing1' does not have"}, refusal{403, "DENIED", "scope map 'nothing1' does not have"}},
	} {
		token := w.scopedToken(t, first, fmt.Sprintf("removed%d", i), "repositories/app/content/read")
		access := w.askPassword(t, first, token, "repository:app:pull").ok(t).text("access_token")
		refresh := w.form(t, w.at(first, "/oauth2/exchange"), "grant_type", "password", "service", w.login(first), "username", token.name, "password", token.password).ok(t).text("refresh_token")
		pull := func(authorization string) func(t *testing.T) answer {
			return func(t *testing.T) answer { return w.v2(t, first, authorization, "GET", "/v2/app/manifests/1", "") }
		}
		removal(t, change.name, []held{{"access token", pull(bearer(access)), change.after},
			{"refresh token as a password", pull(basic(refresher, refresh)), change.after},
			{"password", pull(basic(token.name, token.password)), change.signIn}}, func(t *testing.T) { change.remove(t, token) })
	}
	token := w.scopedToken(t, first, "expiring", "repositories/app/content/read")
	expiry := time.Now().Add(2 * time.Second).UTC()
	token.password = w.newPassword(t, first, token.name, `,"expiry":"`+expiry.Format(time.RFC3339Nano)+`"`)
	access := w.askPassword(t, first, token, "repository:app:pull").ok(t).text("access_token")
	expired := refusal{401, "UNAUTHORIZED", "has expired"}
	removal(t, "password expired", []held{
		{"access token", func(t *testing.T) answer { return w.v2(t, first, bearer(access), "GET", "/v2/app/manifests/1", "") }, expired},
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
		"registry": {group2, "vanishing1", func(t *testing.T, path string) { w.arm(t, w.admin, "DELETE", path, "").ok(t) }},
		"group":    {"gvanish", "vanishing2", func(t *testing.T, path string) { w.arm(t, w.admin, "DELETE", w.group("gvanish"), "").ok(t) }},
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
	run := w.arm(t, p, "POST", path+"/scheduleRun", `{"type":"EncodedTaskRunRequest","platform":{"os":"linux"},"encodedTaskContent":"c3RlcHM6IFtdCg=="}`).ok(t).text("properties", "runId")
	link := w.arm(t, p, "POST", path+"/runs/"+run+"/listLogSasUrl", "").ok(t).text("logLink")
	put := w.arm(t, p, "POST", path+"/listBuildSourceUploadUrl", "").ok(t).text("uploadUrl")
	admin := scoped{name: name, password: w.arm(t, w.admin, "POST", path+"/listCredentials", "").ok(t).at("passwords", "0").(map[string]any)["value"].(string)}
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
		{"access token", pull(bearer(access)), denied}, {"refresh token as a password", pull(basic(refresher, refresh)), denied},
		{"access token of the admin user", pull(bearer(adminAccess)), off}, {"password of the admin user", pull(basic(name, admin.password)), off},
		{"log URL", func(t *testing.T) answer { return w.do(t, ask{"GET", link, nil, ""}) }, signature},
		{"upload URL", func(t *testing.T) answer {
			return w.do(t, ask{"PUT", put, []string{"x-ms-blob-type", "BlockBlob"}, "x"})
		}, signature},
	}, func(t *testing.T) {
		remove(t, path)
		for name, use := range map[string]func(t *testing.T) answer{"access token": pull(bearer(access)), "password of the admin user": pull(basic(name, admin.password))} {
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
		admin.password = w.arm(t, w.admin, "POST", path+"/listCredentials", "").ok(t).at("passwords", "0").(map[string]any)["value"].(string)
	}
	all := func(words, wrong string) []held {
		read(t)
		access := bearer(w.askPassword(t, name, admin, "repository:app:pull").ok(t).text("access_token"))
		password := basic(name, admin.password)
		return []held{
			{"access token", func(t *testing.T) answer { return w.v2(t, name, access, "GET", "/v2/app/manifests/1", "") }, refusal{401, "UNAUTHORIZED", words}},
			{"password", func(t *testing.T) answer { return w.v2(t, name, password, "GET", "/v2/app/manifests/1", "") }, refusal{401, "UNAUTHORIZED", wrong}},
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
	removal(t, "taken by a run", []held{{"whole", put(""), taken}, {"a block", put("&comp=block&blockid=AAAA"), taken}}, func(t *testing.T) {
		put("")(t).ok(t)
		w.arm(t, p, "POST", reg+"/scheduleRun", `{"type":"DockerBuildRequest","platform":{"os":"linux"},"dockerFilePath":"Dockerfile","sourceLocation":"`+a.text("relativePath")+`"}`).ok(t)
	})
	t.Run("in another registry's run", func(t *testing.T) {
		b := w.arm(t, p, "POST", reg+"/listBuildSourceUploadUrl", "").ok(t)
		w.do(t, ask{"PUT", b.text("uploadUrl"), []string{"x-ms-blob-type", "BlockBlob"}, "content"}).ok(t)
		for _, path := range []string{b.text("relativePath"), strings.ReplaceAll(b.text("relativePath"), first, first+"/../"+second), "../" + b.text("relativePath"), "/etc/passwd", "file:///etc/passwd"} {
			a := w.arm(t, p, "POST", w.registry(group1, second)+"/scheduleRun", `{"type":"DockerBuildRequest","platform":{"os":"linux"},"dockerFilePath":"Dockerfile","sourceLocation":"`+path+`"}`)
			if a.status != 404 && a.status != 400 || !strings.Contains(a.body, "SourceLocation") {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
	})
}
