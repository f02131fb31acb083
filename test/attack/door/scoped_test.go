package door_test

import (
	"strings"
	"testing"
)

// scoped is a repository-scoped token with a password.
type scoped struct{ name, scopeMap, password string }

// scopedToken makes a token with a scope map of its own.
func (w *world) scopedToken(t *testing.T, registry, name string, actions ...string) scoped {
	t.Helper()
	path := w.registry(groupOf(registry), registry)
	token := scoped{name: name, scopeMap: path + "/scopeMaps/" + name}
	w.setScopeMap(t, token, actions...)
	w.arm(t, w.admin, "PUT", path+"/tokens/"+name,
		`{"properties":{"scopeMapId":"`+token.scopeMap+`","status":"enabled"}}`).ok(t)
	token.password = w.newPassword(t, registry, name, "")
	return token
}

func (w *world) setScopeMap(t *testing.T, token scoped, actions ...string) {
	t.Helper()
	w.arm(t, w.admin, "PUT", token.scopeMap, `{"properties":{"actions":["`+strings.Join(actions, `","`)+`"]}}`).ok(t)
}

// newPassword generates the first password of a token; more are members of the request.
func (w *world) newPassword(t *testing.T, registry, name, more string) string {
	t.Helper()
	path := w.registry(groupOf(registry), registry)
	return w.arm(t, w.admin, "POST", path+"/generateCredentials",
		`{"tokenId":"`+path+`/tokens/`+name+`","name":"password1"`+more+`}`).
		ok(t).at("passwords", "0").(map[string]any)["value"].(string)
}

// askPassword asks for an access token with a name and a password.
func (w *world) askPassword(t *testing.T, registry string, token scoped, scopes ...string) answer {
	t.Helper()
	fields := []string{"grant_type", "password", "service", w.login(registry), "username", token.name, "password",
		token.password}
	for _, scope := range scopes {
		fields = append(fields, "scope", scope)
	}
	return w.form(t, w.at(registry, "/oauth2/token"), fields...)
}
