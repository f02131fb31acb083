package armapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/server/servertest"
)

// parse reads JSON; a test that writes bad JSON is wrong.
func parse(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// encoded is a PUT body of a task with further members of properties and beside them.
func encoded(properties, beside string) string {
	return `{"properties":{"step":{"type":"EncodedTask","encodedTaskContent":"` + hello + `"}` + properties + `}` + beside + `}`
}

// What a PATCH does to members of a task, az-wire 9.2.
func TestPatchTask(t *testing.T) {
	w := servertest.New(t)
	const login = `{"userName":{"type":"Opaque","value":"u"},"password":{"type":"Opaque","value":"p"}}`
	const shown = `{"userName":{"type":"Opaque"},"password":{"type":"Opaque"},"identity":null}`
	base := encoded(`,"timeout":600,"agentConfiguration":{"cpu":4},"credentials":{"sourceRegistry":{"loginMode":"None"},"customRegistries":{"a.example":`+login+`,"b.example":`+login+`}},
		"trigger":{"timerTriggers":[{"name":"noon","schedule":"0 12 * * *"}],"baseImageTrigger":{"name":"base","baseImageTriggerType":"All","status":"Enabled"}}`, "")
	for i, test := range []struct {
		name, patch string
		at          []string // below properties
		want        string
	}{
		{"nothing", `{}`, []string{"timeout"}, `600`},
		{"a number", `{"properties":{"timeout":900}}`, []string{"timeout"}, `900`},
		{"an empty object means nothing", `{"properties":{"agentConfiguration":{},"platform":{}}}`, []string{"agentConfiguration"}, `{"cpu":4}`},
		{"empty credentials mean nothing", `{"properties":{"credentials":{}}}`, []string{"credentials", "customRegistries"}, `{"a.example":` + shown + `,"b.example":` + shown + `}`},
		{"empty entries mean nothing", `{"properties":{"credentials":{"customRegistries":{}}}}`, []string{"credentials", "customRegistries"}, `{"a.example":` + shown + `,"b.example":` + shown + `}`},
		{"null removes an entry", `{"properties":{"credentials":{"customRegistries":{"A.example":null}}}}`, []string{"credentials", "customRegistries"}, `{"b.example":` + shown + `}`},
		{"null removes nothing where nothing is", `{"properties":{"credentials":{"customRegistries":{"c.example":null}}}}`, []string{"credentials", "customRegistries"}, `{"a.example":` + shown + `,"b.example":` + shown + `}`},
		{"an entry is replaced whole", `{"properties":{"credentials":{"customRegistries":{"a.example":{"identity":"[system]"}}}}}`, []string{"credentials", "customRegistries", "a.example"}, `{"userName":null,"password":null,"identity":"[system]"}`},
		{"the other member of credentials stays", `{"properties":{"credentials":{"customRegistries":{"a.example":null}}}}`, []string{"credentials", "sourceRegistry"}, `{"loginMode":"None"}`},
		{"a step of the same type is merged", `{"properties":{"step":{"type":"EncodedTask","values":[{"name":"a","value":"b"}]}}}`, []string{"step"}, `{"type":"EncodedTask","encodedTaskContent":"` + hello + `","baseImageDependencies":null,"values":[{"name":"a","value":"b","isSecret":false}]}`},
		{"a step of another type replaces", `{"properties":{"step":{"type":"FileTask","contextPath":"https://github.com/a/b.git","taskFilePath":"acb.yaml"}}}`, []string{"step"}, `{"type":"FileTask","baseImageDependencies":null,"contextPath":"https://github.com/a/b.git","taskFilePath":"acb.yaml"}`},
		{"the trigger's name alone changes nothing", `{"properties":{"trigger":{"baseImageTrigger":{"name":"base"}}}}`, []string{"trigger", "baseImageTrigger"}, `{"name":"base","baseImageTriggerType":"All","status":"Enabled"}`},
		{"a timer changes by its name", `{"properties":{"trigger":{"timerTriggers":[{"name":"Noon","status":"Disabled"}]}}}`, []string{"trigger", "timerTriggers"}, `[{"name":"Noon","schedule":"0 12 * * *","status":"Disabled"}]`},
		{"a timer is added", `{"properties":{"trigger":{"timerTriggers":[{"name":"night","schedule":"30 0 * * SUN"}]}}}`, []string{"trigger", "timerTriggers"}, `[{"name":"noon","schedule":"0 12 * * *","status":"Enabled"},{"name":"night","schedule":"30 0 * * SUN","status":"Enabled"}]`},
		{"no timers mean nothing", `{"properties":{"trigger":{"timerTriggers":[],"sourceTriggers":null}}}`, []string{"trigger", "timerTriggers"}, `[{"name":"noon","schedule":"0 12 * * *","status":"Enabled"}]`},
		{"the status", `{"properties":{"status":"Disabled"}}`, []string{"status"}, `"Disabled"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := w.Registry.String() + "/tasks/patch" + string(rune('a'+i))
			w.ARMOK(w.Admin, http.MethodPut, path, base)
			w.ARMOK(w.Admin, http.MethodPatch, path, test.patch)
			got := w.ARMOK(w.Admin, http.MethodGet, path, "").At(append([]string{"properties"}, test.at...)...)
			if diff := cmp.Diff(parse(t, test.want), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// A null for an entry of a task without credentials is no error.
func TestPatchRemovesNothing(t *testing.T) {
	w := servertest.New(t)
	path := w.Registry.String() + "/tasks/plain"
	w.ARMOK(w.Admin, http.MethodPut, path, encoded("", ""))
	w.ARMOK(w.Admin, http.MethodPatch, path, `{"properties":{"credentials":{"customRegistries":{"c.example":null}}}}`)
}

// The identity block, az-wire 9.3, byte by byte.
func TestIdentityBlock(t *testing.T) {
	w := servertest.New(t)
	id := w.Group.In(identity.UserAssigned, "MyId").String()
	ids := w.ARMOK(w.Admin, http.MethodPut, id, `{"location":"eastus"}`)
	client, principal := ids.At("properties", "clientId").(string), ids.At("properties", "principalId").(string)
	spelled := strings.Replace(strings.Replace(id, "resourcegroups", "resourceGroups", 1), "MyId", "myid", 1)
	users := func(key string) string {
		return `{"` + key + `":{"clientId":"` + client + `","principalId":"` + principal + `"}}`
	}
	path := w.Registry.String() + "/tasks/identity"
	system := ""
	for _, step := range []struct{ name, method, identity, want string }{
		{"none", "PUT", `,"identity":null`, `null`},
		{"a user-assigned one, with the key in lower case", "PUT", `,"identity":{"type":"UserAssigned","userAssignedIdentities":{"` + id + `":{}}}`, `{"principalId":null,"tenantId":null,"type":"UserAssigned","userAssignedIdentities":` + users(id) + `}`},
		{"a PUT that says nothing", "PUT", ``, `{"principalId":null,"tenantId":null,"type":"UserAssigned","userAssignedIdentities":` + users(id) + `}`},
		{"the same in another spelling", "PATCH", `"identity":{"type":"UserAssigned","userAssignedIdentities":{"` + spelled + `":{}}}`, `{"principalId":null,"tenantId":null,"type":"UserAssigned","userAssignedIdentities":` + users(spelled) + `}`},
		{"both", "PATCH", `"identity":{"type":"SystemAssigned,UserAssigned"}`, `{"principalId":"SYSTEM","tenantId":"` + servertest.Tenant + `","type":"SystemAssigned, UserAssigned","userAssignedIdentities":` + users(spelled) + `}`},
		{"an echo", "PUT", `,"identity":{"principalId":"x","tenantId":"y","type":"systemassigned, userassigned","userAssignedIdentities":` + users(spelled) + `}`, `{"principalId":"SYSTEM","tenantId":"` + servertest.Tenant + `","type":"SystemAssigned, UserAssigned","userAssignedIdentities":` + users(spelled) + `}`},
		{"the user-assigned one is removed", "PATCH", `"identity":{"type":"SystemAssigned, UserAssigned","userAssignedIdentities":{"` + id + `":null}}`, `{"principalId":"SYSTEM","tenantId":"` + servertest.Tenant + `","type":"SystemAssigned","userAssignedIdentities":null}`},
		{"an identity on top", "PATCH", `"properties":{"timeout":700}`, `{"principalId":"SYSTEM","tenantId":"` + servertest.Tenant + `","type":"SystemAssigned","userAssignedIdentities":null}`},
		{"none again", "PATCH", `"identity":{"type":"None"}`, `null`},
	} {
		body := "{" + step.identity + "}"
		if step.method == http.MethodPut {
			body = encoded("", step.identity)
		}
		w.ARMOK(w.Admin, step.method, path, body)
		a := w.ARMOK(w.Admin, http.MethodGet, path, "")
		var got struct{ Identity json.RawMessage }
		if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
			t.Fatal(err)
		}
		if p, ok := a.At("identity", "principalId").(string); ok && system == "" {
			system = p
		}
		if want := strings.ReplaceAll(step.want, "SYSTEM", system); string(got.Identity) != want {
			t.Errorf("%s:\nwant %s\ngot  %s", step.name, want, got.Identity)
		}
	}
	if _, err := w.Directory.Principal(t.Context(), identity.ObjectID(system)); err == nil || system == "" {
		t.Error("the system identity is still in the directory, or never was")
	}
	if _, err := w.Directory.Principal(t.Context(), identity.ObjectID(principal)); err != nil {
		t.Errorf("the user-assigned identity is gone: %v", err)
	}
}

// The system identity goes with its task, and its rights with it.
func TestSystemIdentityGoes(t *testing.T) {
	w := servertest.New(t)
	path := w.Registry.String() + "/tasks/identity"
	a := w.ARMOK(w.Admin, http.MethodPut, path, encoded("", `,"identity":{"type":"SystemAssigned"}`))
	id := identity.ObjectID(a.At("identity", "principalId").(string))
	name, err := w.Assign(t.Context(), id, "AcrPull", w.Registry)
	if err != nil {
		t.Fatal(err)
	}
	w.ARMOK(w.Admin, http.MethodDelete, path, "")
	if _, err := w.Directory.Principal(t.Context(), id); err == nil {
		t.Error("the principal is still there")
	}
	if _, err := w.Checker.Store.Assignment(t.Context(), w.Registry, name); err == nil {
		t.Error("the assignment is still there")
	}
	again := w.ARMOK(w.Admin, http.MethodPut, path, encoded("", `,"identity":{"type":"SystemAssigned"}`))
	if again.At("identity", "principalId") == string(id) {
		t.Error("a new task has the principal of the old one")
	}
}

// Secrets are shown by listDetails and nowhere else; what is echoed without its
// secrets keeps them, and a credential does not follow to another host.
func TestTaskSecrets(t *testing.T) {
	w := servertest.New(t)
	path := w.Registry.String() + "/tasks/secrets"
	const step = `{"type":"FileTask","contextPath":"https://github.com/a/b.git","contextAccessToken":"SECRET-token","taskFilePath":"acb.yaml","values":[{"name":"v","value":"SECRET-value","isSecret":true},{"name":"open","value":"shown"}]}`
	const credentials = `{"customRegistries":{"a.example":{"userName":{"type":"Opaque","value":"SECRET-user"},"password":{"type":"Opaque","value":"SECRET-password"}}}}`
	put := w.ARMOK(w.Admin, http.MethodPut, path, `{"properties":{"step":`+step+`,"credentials":`+credentials+`}}`)
	all := []string{"SECRET-token", "SECRET-value", "SECRET-user", "SECRET-password"}
	check := func(name string, a servertest.Answer, want ...string) {
		t.Helper()
		for _, text := range all {
			wanted := false
			for _, one := range want {
				wanted = wanted || one == text
			}
			if strings.Contains(a.Body, text) != wanted {
				t.Errorf("%s: %s shown: %v", name, text, !wanted)
			}
		}
	}
	get := w.ARMOK(w.Admin, http.MethodGet, path, "")
	check("PUT", put)
	check("GET", get)
	check("list", w.ARMOK(w.Admin, http.MethodGet, w.Registry.String()+"/tasks", ""))
	check("resources", w.ARMOK(w.Admin, http.MethodGet, w.Group.String()+"/resources?api-version=2021-04-01", ""))
	check("listDetails", w.ARMOK(w.Admin, http.MethodPost, path+"/listDetails", ""), all...)
	check("an echo", w.ARMOK(w.Admin, http.MethodPut, path, get.Body))
	check("listDetails after it", w.ARMOK(w.Admin, http.MethodPost, path+"/listDetails", ""), all...)
	check("another host", w.ARMOK(w.Admin, http.MethodPatch, path, `{"properties":{"step":{"type":"FileTask","contextPath":"https://evil.example/a.git"}}}`))
	check("listDetails after that", w.ARMOK(w.Admin, http.MethodPost, path+"/listDetails", ""), all[1:]...)
	w.ARMOK(w.Admin, http.MethodPatch, path, `{"properties":{"step":{"type":"EncodedTask","encodedTaskContent":"`+hello+`","contextAccessToken":"SECRET-token"},"credentials":{"customRegistries":{"a.example":null}}}}`)
	check("a token for nothing", w.ARMOK(w.Admin, http.MethodGet, path, ""))
	check("nothing is left", w.ARMOK(w.Admin, http.MethodPost, path+"/listDetails", ""))
	all = append(all, "SECRET-argument")
	check("an argument", w.ARMOK(w.Admin, http.MethodPatch, path,
		`{"properties":{"step":{"type":"Docker","contextPath":"https://github.com/a/b.git","arguments":[{"name":"v","value":"SECRET-argument","isSecret":true}]}}}`))
	check("listDetails with it", w.ARMOK(w.Admin, http.MethodPost, path+"/listDetails", ""), "SECRET-argument")
}

func TestETags(t *testing.T) {
	w := servertest.New(t)
	path := w.Registry.String() + "/tasks/etags"
	first := w.ARMOK(w.Admin, http.MethodPut, path, encoded("", ""), "If-None-Match", "*").Header.Get("ETag")
	second := w.ARMOK(w.Admin, http.MethodPatch, path, `{"properties":{"timeout":700}}`, "If-Match", first).Header.Get("ETag")
	if first == "" || first == second {
		t.Errorf("the ETags are %s and %s", first, second)
	}
	for _, test := range []struct {
		method, body string
		header, etag string
		want         int
	}{
		{"PUT", encoded("", ""), "If-Match", first, 412},
		{"PATCH", `{"properties":{"timeout":800}}`, "If-Match", first, 412},
		{"DELETE", "", "If-Match", first, 412},
		{"PUT", encoded("", ""), "If-None-Match", "*", 412},
		{"PATCH", `{}`, "If-Match", "*", 200},
		{"DELETE", "", "If-Match", "*", 200},
		{"DELETE", "", "If-Match", "*", 412},
		{"PUT", encoded("", ""), "If-Match", "*", 412},
	} {
		if a := w.ARM(w.Admin, test.method, path, test.body, test.header, test.etag); a.Status != test.want {
			t.Errorf("%s with %s %s: %d %s", test.method, test.header, test.etag, a.Status, a.Body)
		}
	}
}
