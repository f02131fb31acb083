package armapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/server/servertest"
)

// patched is a resource of each type that may be patched.
func patched(w *servertest.World) map[string]string {
	r := w.Registry.String()
	uai := w.Group.String() + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/MyId"
	all := map[string]string{"group": w.Group.String(), "registry": r, "identity": uai, "task": r + "/tasks/mytask",
		"scope map": r + "/scopeMaps/mymap", "token": r + "/tokens/mytoken",
		"pool": r + "/agentPools/mypool", "task run": r + "/taskRuns/myrun", "federated credential": uai + "/federatedIdentityCredentials/fic"}
	w.ARMOK(w.Admin, http.MethodPut, uai, `{"location":"eastus"}`)
	step := `{"type":"EncodedTask","encodedTaskContent":"c3RlcHM6IFtdCg=="}`
	for _, put := range [][2]string{
		{"task", `{"location":"eastus","properties":{"platform":{"os":"linux"},"step":` + step + `}}`},
		{"scope map", `{"properties":{"actions":["repositories/hello/content/read"]}}`},
		{"token", `{"properties":{"scopeMapId":"` + r + `/scopeMaps/mymap"}}`},
		{"pool", `{"location":"eastus","properties":{"count":1,"tier":"S1","os":"Linux"}}`},
		{"task run", `{"location":"eastus","properties":{"runRequest":{"type":"EncodedTaskRunRequest","encodedTaskContent":"c3RlcHM6IFtdCg==","platform":{"os":"linux"}}}}`},
		{"federated credential",
			`{"properties":{"issuer":"https://example.org","subject":"x","audiences":["api://AzureADTokenExchange"]}}`},
	} {
		w.ARMOK(w.Admin, http.MethodPut, all[put[0]], put[1])
	}
	runs, _ := w.ARMOK(w.Admin, http.MethodGet, r+"/runs", "").JSON()["value"].([]any)
	all["run"], _ = runs[0].(map[string]any)["id"].(string)
	return all
}

// A PATCH with a member that nothing would be done about is refused by its name, whatever
// the type; the whole resource as it was shown, and what says nothing, is no such member.
func TestPatchHeedsAll(t *testing.T) {
	w := servertest.New(t)
	for kind, path := range patched(w) {
		version := "?api-version=2025-04-01"
		shown := w.ARMOK(w.Admin, http.MethodGet, path+version, "")
		same := shown.JSON()
		same["unknown"], same["zones"], same["managedBy"] = nil, []any{}, ""
		if kind == "run" {
			delete(same, "properties") // it is running
		}
		text, err := json.Marshal(same)
		if err != nil {
			t.Fatal(err)
		}
		allowsPatch := w.ARM(w.Admin, http.MethodPatch, path+version, `{}`).Status != 405
		if a := w.ARM(w.Admin, http.MethodPatch, path+version, string(text)); allowsPatch && a.Status >= 300 {
			t.Errorf("%s as it is: %d %s", kind, a.Status, a.Body)
		}
		for body, target := range map[string]string{
			`{"plan":{"name":"x"}}`:                       "plan",
			`{"location":"westeurope"}`:                   "location",
			`{"name":"another"}`:                          "name",
			`{"properties":{"noSuchThing":true}}`:         "properties.noSuchThing",
			`{"tags":{"a":"b"},"zones":["1"]}`:            "zones",
			`{"properties":{"noSuch":{"deep":["text"]}}}`: "properties.noSuch",
		} {
			if kind == "run" {
				target, _, _ = strings.Cut(target, ".")
			}
			a := w.ARM(w.Admin, http.MethodPatch, path+version, body)
			if kind == "run" && strings.Contains(body, "tags") {
				target = "tags"
			}
			if allowsPatch && (a.Status != 501 || a.At("error", "target") != target) {
				t.Errorf("%s, %s: %d %s", kind, body, a.Status, a.Body)
			}
		}
		after := w.ARMOK(w.Admin, http.MethodGet, path+version, "")
		if tags, _ := after.At("tags").(map[string]any); len(tags) > 0 {
			t.Errorf("%s: a change that was refused was done in part", kind)
		}
	}
}

// What a step of another type has is refused as well, and what keeps its value is undone.
func TestPatchDoesAll(t *testing.T) {
	w := servertest.New(t)
	all := patched(w)
	for _, test := range []struct{ path, body, target string }{
		{all["task"], `{"properties":{"step":{"imageNames":["x"]}}}`, "properties.step.imageNames"},
		{all["task"], `{"properties":{"step":{"taskFilePath":"x"}}}`, "properties.step.taskFilePath"},
		{all["task"], `{"properties":{"step":{"noCache":true}}}`, "properties.step.noCache"},
		{all["registry"], `{"properties":{"adminUserEnabled":true,"policies":{"trustPolicy":{"type":"Cosign"}}}}`,
			"properties.policies.trustPolicy.type"},
	} {
		a := w.ARM(w.Admin, http.MethodPatch, test.path, test.body)
		if a.Status < 400 || a.At("error", "target") != test.target {
			t.Errorf("%s: %d %s", test.body, a.Status, a.Body)
		}
	}
	if a := w.ARMOK(w.Admin, http.MethodGet, w.Registry.String(), ""); a.At("properties", "adminUserEnabled") != false {
		t.Error("a change that was refused was done in part")
	}
}
