package armapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/server/servertest"
)

// putMap makes a scope map of MyRegistry with actions, and returns its ID.
func putMap(w *servertest.World, name string, actions ...string) string {
	id := w.Registry.Child("scopeMaps", name).String()
	w.ARMOK(w.Admin, http.MethodPut, id, `{"properties":{"description":"d","actions":["`+strings.Join(actions, `","`)+`"]}}`)
	return id
}

// putToken makes a token of MyRegistry without passwords, and returns its ID.
func putToken(w *servertest.World, name, scopeMap string) string {
	id := w.Registry.Child("tokens", name).String()
	w.ARMOK(w.Admin, http.MethodPut, id, `{"properties":{"scopeMapId":"`+scopeMap+`"}}`)
	return id
}

// names are those of the resources in a list.
func names(t *testing.T, a servertest.Answer) []string {
	t.Helper()
	all, ok := a.At("value").([]any)
	if !ok {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	found := []string{}
	for _, one := range all {
		found = append(found, one.(map[string]any)["name"].(string))
	}
	return found
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func refused(t *testing.T, what string, a servertest.Answer, status int, code string) {
	t.Helper()
	if a.Status != status || a.At("error", "code") != code {
		t.Errorf("%s: want %d %s, got %d %s", what, status, code, a.Status, a.Body)
	}
}

// Scope maps are made, changed and listed beside those that every registry has, which
// stay as they are.
func TestScopeMaps(t *testing.T) {
	w := servertest.New(t)
	maps := w.Registry.String() + "/scopeMaps"
	system := []string{"_repositories_admin", "_repositories_pull", "_repositories_pull_metadata_read", "_repositories_push", "_repositories_push_metadata_write"}
	same(t, names(t, w.ARM(w.Admin, "GET", maps, "")), system)
	pull := w.ARMOK(w.Admin, "GET", maps+"/_REPOSITORIES_pull", "")
	same(t, pull.At("properties", "actions"), any([]any{"repositories/*/content/read"}))
	same(t, []any{pull.At("name"), pull.At("type"), pull.At("properties", "type")}, []any{"_repositories_pull", "Microsoft.ContainerRegistry/registries/scopeMaps", "SystemDefined"})
	for method, body := range map[string]string{"PUT": `{"properties":{"actions":[]}}`, "PATCH": `{"properties":{"actions":[]}}`, "DELETE": ""} {
		refused(t, method+" of a system map", w.ARM(w.Admin, method, maps+"/_repositories_Pull", body), 400, "ScopeMapIsSystemDefined")
	}

	made := w.ARM(w.Admin, "PUT", maps+"/MyMap", `{"location":"x","properties":{"description":"mine","type":"SystemDefined","actions":["repositories/Hello/content/read","repositories/hello/content/READ","repositories/team/*/metadata/write"]}}`)
	if made.Status != 201 || made.At("location") != nil || made.At("properties", "type") != "UserDefined" || made.At("properties", "provisioningState") != "Succeeded" || made.At("properties", "creationDate") == "" {
		t.Errorf("%d %s", made.Status, made.Body)
	}
	same(t, made.At("properties", "actions"), any([]any{"repositories/hello/content/read", "repositories/team/*/metadata/write"}))
	changed := w.ARMOK(w.Admin, "PATCH", maps+"/mymap", `{"properties":{"actions":["repositories/other/content/read"],"description":null}}`)
	same(t, []any{changed.At("name"), changed.At("properties", "description"), changed.At("properties", "creationDate")}, []any{"MyMap", "mine", made.At("properties", "creationDate")})
	same(t, names(t, w.ARM(w.Admin, "GET", maps, "")), append(system, "MyMap"))
	for name, body := range map[string]string{"four": `{}`, "a.dot.in": `{}`, strings.Repeat("x", 51): `{}`} {
		refused(t, name, w.ARM(w.Admin, "PUT", maps+"/"+name, body), 400, "InvalidResourceName")
	}
	refused(t, "a long description", w.ARM(w.Admin, "PUT", maps+"/longmap", `{"properties":{"description":"`+strings.Repeat("x", 257)+`"}}`), 400, "InvalidScopeMapDescription")
	refused(t, "a bad action", w.ARM(w.Admin, "PATCH", maps+"/MyMap", `{"properties":{"actions":["repositories/a*/content/read"]}}`), 400, "InvalidScopeMapActions")
	refused(t, "a gateway", w.ARM(w.Admin, "PATCH", maps+"/MyMap", `{"properties":{"actions":["gateway/g/config/read"]}}`), 501, "NotImplemented")
	refused(t, "actions that are no list", w.ARM(w.Admin, "PATCH", maps+"/MyMap", `{"properties":{"actions":"repositories/a/content/read"}}`), 400, "InvalidRequestContent")
	for _, path := range []string{"/scopeMaps", "/scopeMaps/_repositories_pull", "/scopeMaps/other1"} {
		refused(t, path, w.ARM(w.Admin, "GET", w.Group.String()+"/providers/Microsoft.ContainerRegistry/registries/nobody1"+path, ""), 404, "ResourceNotFound")
	}
	refused(t, "no registry", w.ARM(w.Admin, "PUT", strings.Replace(maps, "MyRegistry", "nobody1", 1)+"/mymap", `{"properties":{"actions":[]}}`), 404, "ResourceNotFound")
	if a := w.ARM(w.Admin, "DELETE", maps+"/nobody", ""); a.Status != 204 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	w.ARMOK(w.Admin, "DELETE", maps+"/mymap", "")
	refused(t, "deleted", w.ARM(w.Admin, "GET", maps+"/mymap", ""), 404, "ResourceNotFound")
}

// A token has a scope map of its registry, which stays as long as a token has it; what it
// signs in with is shown once.
func TestScopedTokens(t *testing.T) {
	w := servertest.New(t)
	w.NewRegistry("Another1")
	tokens := w.Registry.String() + "/tokens"
	scopeMap := putMap(w, "MyMap", "repositories/hello/content/read")
	made := w.ARM(w.Admin, "PUT", tokens+"/MyToken", `{"location":"x","properties":{"scopeMapId":"`+strings.ToUpper(scopeMap)+`"}}`)
	same(t, []any{made.Status, made.At("location"), made.At("properties", "scopeMapId"), made.At("properties", "status"), made.At("properties", "provisioningState"), made.At("properties", "credentials")},
		[]any{201, nil, scopeMap, "enabled", "Succeeded", any(map[string]any{"certificates": []any{}, "passwords": []any{}})})

	put := func(name, properties string) servertest.Answer {
		return w.ARM(w.Admin, "PUT", tokens+"/"+name, `{"properties":{`+properties+`}}`)
	}
	good := `"scopeMapId":"` + scopeMap + `"`
	for _, test := range []struct {
		name, properties string
		status           int
		code             string
	}{
		{"four", good, 400, "InvalidResourceName"}, {"a.dot.in", good, 400, "InvalidResourceName"}, {"myregistry", good, 400, "InvalidResourceName"}, {"MYREGISTRY", good, 400, "InvalidResourceName"},
		{"11111111-2222-3333-4444-555555555555", good, 400, "InvalidResourceName"}, {"11111111222233334444555555555555", good, 400, "InvalidResourceName"},
		{"token", ``, 400, "InvalidScopeMapId"}, {"token", `"scopeMapId":null`, 400, "InvalidScopeMapId"}, {"token", `"scopeMapId":"mymap"`, 400, "InvalidScopeMapId"}, {"token", `"scopeMapId":"/"`, 400, "InvalidScopeMapId"},
		{"token", `"scopeMapId":"` + scopeMap + `x"`, 400, "InvalidScopeMapId"}, {"token", `"scopeMapId":"` + w.Registry.String() + `"`, 400, "InvalidScopeMapId"}, {"token", `"scopeMapId":"` + tokens + `/MyToken"`, 400, "InvalidScopeMapId"},
		{"token", `"scopeMapId":"` + strings.Replace(scopeMap, "MyRegistry", "Another1", 1) + `"`, 400, "InvalidScopeMapId"},
		{"token", `"scopeMapId":"` + strings.Replace(w.Registry.Child("scopeMaps", "_repositories_pull").String(), "MyRegistry", "Another1", 1) + `"`, 400, "InvalidScopeMapId"},
		{"token", good + `,"status":"off"`, 400, "InvalidParameterValue"}, {"token", good + `,"status":true`, 400, "InvalidRequestContent"},
		{"token", good + `,"credentials":{"certificates":[{"name":"certificate1"}]}`, 501, "NotImplemented"}, {"token", good + `,"credentials":{"passwords":[{"name":"password1"}]}`, 400, "TokenPasswordNotFound"},
		{"token", good + `,"credentials":{"passwords":[{"name":"password3"}]}`, 400, "InvalidParameterValue"}, {"token", good + `,"credentials":{"passwords":[{}]}`, 400, "InvalidParameterValue"}, {"token", good + `,"credentials":[]`, 400, "InvalidRequestContent"},
	} {
		refused(t, test.name+" "+test.properties, put(test.name, test.properties), test.status, test.code)
	}
	same(t, names(t, w.ARM(w.Admin, "GET", tokens, "")), []string{"MyToken"})

	inUse := w.ARM(w.Admin, "DELETE", scopeMap, "")
	refused(t, "a scope map in use", inUse, 409, "ScopeMapInUse")
	if !strings.Contains(inUse.Body, "MyToken") || !strings.Contains(inUse.Body, "az acr token update --registry MyRegistry --name MyToken --scope-map") {
		t.Error(inUse.Body)
	}
	changed := w.ARMOK(w.Admin, "PATCH", tokens+"/mytoken", `{"properties":{"scopeMapId":"`+w.Registry.Child("scopeMaps", "_repositories_pull").String()+`","status":"Disabled"}}`)
	same(t, []any{changed.At("name"), changed.At("properties", "status")}, []any{"MyToken", "disabled"})
	w.ARMOK(w.Admin, "DELETE", scopeMap, "")
	w.ARMOK(w.Admin, "DELETE", tokens+"/mytoken", "")
	if a := w.ARM(w.Admin, "DELETE", tokens+"/mytoken", ""); a.Status != 204 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// generate asks for passwords of a token of MyRegistry.
func generate(w *servertest.World, token, more string) servertest.Answer {
	return w.ARM(w.Admin, "POST", w.Registry.String()+"/generateCredentials", `{"tokenId":"`+token+`"`+more+`}`)
}

// issued are the passwords in an answer, by name.
func issued(t *testing.T, a servertest.Answer) map[string]map[string]any {
	t.Helper()
	all, ok := a.At("passwords").([]any)
	if a.Status != 200 || !ok {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	found := map[string]map[string]any{}
	for _, one := range all {
		p := one.(map[string]any)
		found[p["name"].(string)] = p
	}
	return found
}

// Passwords are made both or one at a time, kept or dropped by name, and shown to who made
// them alone.
func TestGenerateCredentials(t *testing.T) {
	w := servertest.New(t)
	token := putToken(w, "MyToken", putMap(w, "MyMap", "repositories/hello/content/read"))
	first := generate(w, strings.ToLower(token), "")
	both := issued(t, first)
	one, two := both["password1"]["value"].(string), both["password2"]["value"].(string)
	if len(both) != 2 || len(one) < 40 || one == two || first.At("username") != "MyToken" {
		t.Errorf("%s", first.Body)
	}
	kept := func() []any {
		t.Helper()
		a := w.ARMOK(w.Admin, "GET", token, "")
		for _, secret := range []string{one, two} {
			if strings.Contains(a.Body, secret) || strings.Contains(w.ARM(w.Admin, "GET", w.Registry.String()+"/tokens", "").Body, secret) {
				t.Error("a password is shown again")
			}
		}
		credentials, _ := a.At("properties", "credentials").(map[string]any)
		return credentials["passwords"].([]any)
	}
	all := kept()
	same(t, all[0].(map[string]any), map[string]any{"name": "password1", "creationTime": both["password1"]["creationTime"]})
	expiry := time.Now().Add(time.Hour).UTC().Truncate(time.Second).Format(time.RFC3339)
	renewed := issued(t, generate(w, token, `,"name":"PASSWORD2","expiry":"`+expiry+`"`))
	if len(renewed) != 1 || renewed["password2"]["value"] == two || renewed["password2"]["expiry"] != expiry {
		t.Errorf("%v", renewed)
	}
	two = renewed["password2"]["value"].(string)
	same(t, kept()[1].(map[string]any)["expiry"], any(expiry))
	same(t, kept()[0], all[0])

	// A full echo changes nothing; neither does what says nothing about passwords.
	echo := w.ARMOK(w.Admin, "GET", token, "").Body
	w.ARMOK(w.Admin, "PUT", token, echo)
	w.ARMOK(w.Admin, "PATCH", token, `{"properties":{"status":"disabled","credentials":{"passwords":null}}}`)
	same(t, len(kept()), 2)
	patch := func(passwords string) servertest.Answer {
		return w.ARM(w.Admin, "PATCH", token, `{"properties":{"credentials":{"passwords":`+passwords+`}}}`)
	}
	refused(t, "another expiry", patch(`[{"name":"password2","expiry":"2999-01-01T00:00:00Z"}]`), 400, "InvalidParameterValue")
	patch(`[{"name":"Password2"}]`)
	same(t, kept()[0].(map[string]any)["name"], any("password2"))
	refused(t, "one that is gone", patch(`[{"name":"password1"}]`), 400, "TokenPasswordNotFound")
	patch(`[]`)
	same(t, kept(), []any{})

	for body, code := range map[string]string{
		``: "InvalidRequestContent", `{}`: "InvalidTokenId", `{"tokenId":"x"}`: "InvalidTokenId", `{"tokenId":7}`: "InvalidRequestContent", `{"tokenId":"` + w.Registry.String() + `"}`: "InvalidTokenId",
		`{"tokenId":"` + strings.Replace(token, "MyRegistry", "Another1", 1) + `"}`: "InvalidTokenId", `{"tokenId":"` + token + `","name":"password"}`: "InvalidParameterValue",
		`{"tokenId":"` + token + `","expiry":"2001-01-01T00:00:00Z"}`: "InvalidParameterValue", `{"tokenId":"` + token + `","expiry":"tomorrow"}`: "InvalidRequestContent",
	} {
		refused(t, body, w.ARM(w.Admin, "POST", w.Registry.String()+"/generateCredentials", body), 400, code)
	}
	refused(t, "no such token", generate(w, token+"x", ""), 404, "ResourceNotFound")
	for _, role := range []string{"Reader", "AcrPush"} {
		if a := w.ARM(w.Person(role, role, w.Registry), "POST", w.Registry.String()+"/generateCredentials", `{"tokenId":"`+token+`"}`); a.Status != 403 {
			t.Errorf("%s: %d", role, a.Status)
		}
	}
}
