package door_test

import (
	"fmt"
	"testing"
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
func (w *world) holdings(t *testing.T, p *person) (management, pull, refresh, signIn, upload,
	log func(*testing.T) answer) {
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
		{"management token", management, unauthorized}, {"access token", pull, denied},
		{"refresh token as a password", refresh, denied},
		{"client secret at the registry", signIn, denied}, {"upload URL", upload, signature},
		{"log URL", log, signature},
		{"identity token for a refresh token", func(t *testing.T) answer { return p.exchange(t, first) }, denied},
	}, func(t *testing.T) { w.arm(t, w.admin, "DELETE", granted, "").ok(t) })
	t.Run("refresh token for an access token", func(t *testing.T) {
		if got := covers(t, w.accessFor(t, first, token, "repository:app:pull,push,delete",
			"registry:catalog:*")); got != "null" {
			t.Errorf("it covers %s", got)
		}
	})
}

func TestRemovedPrincipals(t *testing.T) {
	w := shared(t)
	byDirectory := func(p *person) func(t *testing.T) answer {
		token := p.graphToken(t)
		return func(t *testing.T) answer {
			return w.do(t, ask{"GET", w.Published.URL("graph") + "/v1.0/servicePrincipals",
				[]string{"Authorization", bearer(token)}, ""})
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
		{"management token", management, refusal{401, "InvalidAuthenticationToken", "was deleted"}},
		{"access token", pull, denied},
		{"refresh token as a password", refresh, denied}, {"client secret at the registry", signIn, wrong},
		{"upload URL", upload, signature}, {"log URL", log, signature},
		{"directory token", byDirectory(p), refusal{401, "InvalidAuthenticationToken", "was deleted"}},
		{"client secret", again(p), refusal{400, "unauthorized_client", "AADSTS700016"}},
		{"refresh token for an access token", more(p), gone},
		{"identity token for a refresh token", func(t *testing.T) answer { return p.exchange(t, first) }, gone},
	}, func(t *testing.T) { w.graph(t, w.admin, "DELETE", "/servicePrincipals/"+p.objectID, "").ok(t) })

	q := w.newOne(t, "disabled", "Contributor", w.group(group1))
	management, pull, refresh, signIn, upload, log = w.holdings(t, q)
	removal(t, "principal disabled", []held{
		{"management token", management, refusal{403, "AuthorizationFailed", "is disabled"}},
		{"access token", pull, denied},
		{"refresh token as a password", refresh, denied}, {"client secret at the registry", signIn, wrong},
		{"upload URL", upload, signature}, {"log URL", log, signature},
		{"directory token", byDirectory(q), refusal{401, "InvalidAuthenticationToken", "is disabled"}},
		{"client secret", again(q), refusal{401, "invalid_client", "AADSTS7000112"}},
		{"refresh token for an access token", more(q), gone},
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
		w.arm(t, w.admin, "PUT", path+"/federatedIdentityCredentials/own",
			fmt.Sprintf(`{"properties":{"issuer":"%s/%s/","subject":"%s","audiences":["%s"]}}`,
				w.Published.URL("login"), w.Published.TenantID, subject.objectID, audience)).ok(t)
		w.assign(t, made.text("properties", "principalId"), "AcrPull", w.registry(group1, first))
		clientID = made.text("properties", "clientId")
		return path, clientID, func(t *testing.T) answer {
			return w.form(t, w.tokenURL(), "grant_type", "client_credentials", "client_id", clientID, "scope",
				w.Published.URL("management")+"/.default",
				"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
				"client_assertion", subject.token(t, audience))
		}
	}
	path, _, signIn := identity("trusted1")
	removal(t, "trust removed", []held{{"assertion", signIn, refusal{401, "invalid_client", "AADSTS700211"}}},
		func(t *testing.T) {
			w.arm(t, w.admin, "DELETE", path+"/federatedIdentityCredentials/own", "").ok(t)
		})
	path, _, signIn = identity("managed1")
	token := signIn(t).ok(t).text("access_token")
	refresh := w.form(t, w.at(first, "/oauth2/exchange"), "grant_type", "access_token", "service", w.login(first),
		"access_token", token).ok(t).text("refresh_token")
	access := bearer(w.accessFor(t, first, refresh, "repository:app:pull"))
	removal(t, "identity deleted", []held{
		{"assertion", signIn, refusal{400, "unauthorized_client", "AADSTS700016"}},
		{"management token", func(t *testing.T) answer {
			return w.armAs(t, token, "GET", "/subscriptions", "")
		}, refusal{401, "InvalidAuthenticationToken", "was deleted"}},
		{"refresh token", func(t *testing.T) answer {
			return w.askAccess(t, first, refresh, "repository:app:pull")
		}, gone},
		{"access token", func(t *testing.T) answer {
			return w.v2(t, first, access, "GET", "/v2/app/manifests/1", "")
		}, denied},
	}, func(t *testing.T) { w.arm(t, w.admin, "DELETE", path, "").ok(t) })
	_, _, signIn = identity("orphan1")
	removal(t, "subject disabled", []held{{"assertion", signIn, refusal{401, "invalid_client", "AADSTS700027"}}},
		func(t *testing.T) {
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
			w.graph(t, w.admin, "PATCH", "/users/"+id,
				`{"passwordProfile":{"password":"Second-Password-4711","forceChangePasswordNextSignIn":false}}`).ok(t)
		}, refusal{400, "invalid_grant", "AADSTS70043"}},
		{"disabled", func(t *testing.T, id string) {
			w.graph(t, w.admin, "PATCH", "/users/"+id, `{"accountEnabled":false}`).ok(t)
		}, refusal{400, "invalid_grant", "AADSTS70043"}},
		{"deleted", func(t *testing.T, id string) {
			w.graph(t, w.admin, "DELETE", "/users/"+id, "").ok(t)
		}, refusal{400, "invalid_grant", "AADSTS70043"}},
	} {
		name := fmt.Sprintf("user%d@acrux.example", i)
		id := w.newUser(t, name, password)
		scope := w.Published.URL("management") + "/.default offline_access"
		const client = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
		signIn := func(t *testing.T) answer {
			return w.form(t, w.tokenURL(), "grant_type", "password", "username", name, "password", password,
				"client_id", client, "scope", scope)
		}
		refresh := signIn(t).ok(t).text("refresh_token")
		removal(t, change.name, []held{
			{"refresh token", func(t *testing.T) answer {
				return w.form(t, w.tokenURL(), "grant_type", "refresh_token", "refresh_token", refresh,
					"client_id", client, "scope", scope)
			}, change.after},
		}, func(t *testing.T) { change.remove(t, id) })
		t.Run(change.name+": the old password", func(t *testing.T) {
			if a := signIn(t); a.status != 400 || a.code() != "invalid_grant" {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}
