package door_test

import (
	"net/url"
	"strings"
	"testing"
)

// Those who may only look, or only pull, change nothing and learn no secret; who may
// change everything gives no rights.
func TestRolesAtManagement(t *testing.T) {
	w := shared(t)
	reg := w.registry(group1, first)
	w.arm(t, w.admin, "PUT", reg+"/tasks/guarded", task("")).ok(t)
	run := w.schedule(t, w.admin, first, "").text("properties", "runId")
	identity := w.group(group1) + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/guarded"
	w.arm(t, w.admin, "PUT", identity, `{"location":"eastus"}`).ok(t)
	granted := w.assign(t, w.newPerson(t, "assigned").objectID, "AcrPull", reg)
	reader := w.newOne(t, "reader", "Reader", w.group(group1))
	puller := w.newOne(t, "management puller", "AcrPull", reg)
	contributor := w.newOne(t, "contributor", "Contributor", w.group(group1))
	assignPath, assignBody := assignment(reg, reader.objectID, "Owner")
	requests := []struct{ name, method, path, body, action string }{
		{"create a task", "PUT", reg + "/tasks/newtask", task(""), "registries/tasks/write"},
		{"update a task", "PATCH", reg + "/tasks/guarded", `{"properties":{"timeout":700}}`, "registries/tasks/write"},
		{"delete a task", "DELETE", reg + "/tasks/guarded", "", "registries/tasks/delete"},
		{"details of a task", "POST", reg + "/tasks/guarded/listDetails", "", "registries/tasks/listDetails/action"},
		{"token of a task's identity", "POST", reg + "/tasks/guarded/getIdentityToken", `{"audience":"x"}`,
			"registries/tasks/getIdentityToken/action"},
		{"schedule a run", "POST", reg + "/scheduleRun",
			`{"type":"TaskRunRequest","taskId":"` + reg + `/tasks/guarded"}`, "registries/scheduleRun/action"},
		{"cancel a run", "POST", reg + "/runs/" + run + "/cancel", "", "registries/runs/cancel/action"},
		{"change a run", "PATCH", reg + "/runs/" + run, `{"isArchiveEnabled":true}`, "registries/runs/write"},
		{"log URL", "POST", reg + "/runs/" + run + "/listLogSasUrl", "", "registries/runs/listLogSasUrl/action"},
		{"upload URL", "POST", reg + "/listBuildSourceUploadUrl", "", "registries/listBuildSourceUploadUrl/action"},
		{"create a task run", "PUT", reg + "/taskRuns/newrun", `{"properties":{}}`, "registries/taskRuns/write"},
		{"create an agent pool", "PUT", reg + "/agentPools/newpool", `{"properties":{"count":1}}`,
			"registries/agentPools/write"},
		{"import", "POST", reg + "/importImage",
			`{"source":{"registryUri":"docker.io","sourceImage":"library/node:15-alpine"},"targetTags":["x:1"]}`,
			"registries/importImage/action"},
		{"admin's passwords", "POST", reg + "/listCredentials", "", "registries/listCredentials/action"},
		{"new passwords of the admin", "POST", reg + "/regenerateCredential", `{"name":"password"}`,
			"registries/regenerateCredential/action"},
		{"password of a token", "POST", reg + "/generateCredentials", `{"tokenId":"` + reg + `/tokens/x"}`,
			"registries/generateCredentials/action"},
		{"create a token", "PUT", reg + "/tokens/newtoken",
			`{"properties":{"scopeMapId":"` + reg + `/scopeMaps/_repositories_admin"}}`, "registries/tokens/write"},
		{"create a scope map", "PUT", reg + "/scopeMaps/newmap",
			`{"properties":{"actions":["repositories/app/content/read"]}}`, "registries/scopeMaps/write"},
		{"turn the admin user on", "PATCH", reg, `{"properties":{"adminUserEnabled":true}}`, "registries/write"},
		{"let anybody pull", "PATCH", reg, `{"properties":{"anonymousPullEnabled":true}}`, "registries/write"},
		{"delete the registry", "DELETE", reg, "", "registries/delete"},
		{"create a registry", "PUT", w.registry(group1, "newreg1"),
			`{"location":"eastus","sku":{"name":"Basic"}}`, "registries/write"},
		{"tag the registry", "PATCH", reg + "/providers/Microsoft.Resources/tags/default?api-version=2021-04-01",
			`{"operation":"Replace","properties":{"tags":{"a":"b"}}}`, "tags/write"},
		{"create an identity", "PUT", strings.Replace(identity, "guarded", "newone1", 1), `{"location":"eastus"}`,
			"userAssignedIdentities/write"},
		{"trust for an identity", "PUT", identity + "/federatedIdentityCredentials/new",
			`{"properties":{"issuer":"https://a.example","subject":"b","audiences":["c"]}}`,
			"federatedIdentityCredentials/write"},
		{"delete an identity", "DELETE", identity, "", "userAssignedIdentities/delete"},
		{"create a group", "PUT", w.group("newgroup"), `{"location":"eastus"}`, "resourceGroups/write"},
		{"delete the group", "DELETE", w.group(group1), "", "resourceGroups/delete"},
	}
	rights := []struct{ name, method, path, body, action string }{
		{"give a role", "PUT", assignPath, assignBody, "Microsoft.Authorization/roleAssignments/write"},
		{"take a role away", "DELETE", granted, "", "Microsoft.Authorization/roleAssignments/delete"},
		{"give a role at the root", "PUT", strings.TrimPrefix(assignPath, reg), assignBody,
			"Microsoft.Authorization/roleAssignments/write"},
	}
	for _, who := range []struct {
		name string
		*person
	}{{"reader", reader}, {"puller", puller}} {
		for _, request := range append(requests, rights...) {
			t.Run(who.name+": "+request.name, func(t *testing.T) {
				w.arm(t, who.person, request.method, request.path, request.body).refused(t,
					refusal{403, "AuthorizationFailed", request.action})
			})
		}
	}
	for _, request := range rights {
		t.Run("contributor: "+request.name, func(t *testing.T) {
			w.arm(t, contributor, request.method, request.path, request.body).refused(t,
				refusal{403, "AuthorizationFailed", request.action})
		})
	}
	for _, request := range requests[:12] { // those after it change what others need
		if strings.HasPrefix(request.name, "token of") || strings.HasPrefix(request.name, "create a task run") ||
			strings.HasPrefix(request.name, "delete") {
			continue
		}
		t.Run("control: contributor: "+request.name, func(t *testing.T) {
			w.arm(t, contributor, request.method, request.path, request.body).ok(t)
		})
	}
	t.Run("control: administrator: give a role", func(t *testing.T) {
		w.arm(t, w.admin, "PUT", assignPath, strings.Replace(assignBody, roles["Owner"], roles["AcrPush"], 1)).ok(t)
	})
	t.Run("control: administrator: take a role away", func(t *testing.T) {
		w.arm(t, w.admin, "DELETE", granted, "").ok(t)
	})
}

// task is the body of a request for a task; more are members of its step.
func task(more string) string {
	return `{"location":"eastus","properties":{"platform":{"os":"linux"},"step":{"type":"EncodedTask",` +
		`"encodedTaskContent":"c3RlcHM6IFtdCg=="` + more + `}}}`
}

// Rights that would be given with a limit that is not understood are not given.
func TestConditionsAreNotIgnored(t *testing.T) {
	w := shared(t)
	p := w.newPerson(t, "conditioned")
	path, body := assignment(w.registry(group1, second), p.objectID, "AcrPull")
	condition := `((!(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/content/read'})) OR ` +
		`(@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringEqualsIgnoreCase 'app'))`
	with := func(members string) string { return strings.TrimSuffix(body, "}}") + "," + members + "}}" }
	for name, members := range map[string]string{"of one repository": `"condition":"` + condition +
		`","conditionVersion":"2.0"`, "without a version": `"condition":"` + condition + `"`,
		"a word": `"condition":"x"`} {
		t.Run(name, func(t *testing.T) {
			w.arm(t, w.admin, "PUT", path, with(members)).refused(t,
				refusal{501, "NotImplemented", "Conditions of role assignments are not available"})
			p.exchange(t, second).refused(t, refusal{403, "DENIED", "requested access to the resource is denied"})
		})
	}
	t.Run("rights by repository", func(t *testing.T) {
		w.arm(t, w.admin, "PATCH", w.registry(group1, second),
			`{"properties":{"roleAssignmentMode":"AbacRepositoryPermissions"}}`).
			refused(t, refusal{501, "NotImplemented", "AbacRepositoryPermissions"})
	})
	for _, scope := range []string{"/repositories/app", "/repositories/*"} {
		t.Run("a role at "+scope, func(t *testing.T) {
			at, body := assignment(w.registry(group1, second)+scope, p.objectID, "AcrPull")
			w.arm(t, w.admin, "PUT", at, body).refused(t, refusal{400, "InvalidScope", "count for a whole registry"})
			p.exchange(t, second).refused(t, refusal{403, "DENIED", ""})
		})
	}
	t.Run("control: without a condition", func(t *testing.T) {
		w.arm(t, w.admin, "PUT", path, body).ok(t)
		p.exchange(t, second).ok(t)
	})
}

// Importing from a registry of this installation takes the right to pull there, whatever
// it is called.
func TestImportsFromHiddenRegistries(t *testing.T) {
	w := shared(t)
	p := w.newOne(t, "importer", "Contributor", w.registry(group1, first))
	hidden := w.registry(group2, other)
	source := func(members string) string {
		return `{"source":{"sourceImage":"hidden:1",` + members + `},"targetTags":["stolen:1"],"mode":"Force"}`
	}
	into := w.registry(group1, first) + "/importImage"
	denied := refusal{403, "AuthorizationFailed", "Microsoft.ContainerRegistry/registries/pull/read"}
	for name, members := range map[string]string{
		"by its ID":                   `"resourceId":"` + hidden + `"`,
		"by its ID in upper case":     `"resourceId":"` + strings.ToUpper(hidden) + `"`,
		"by its ID with more slashes": `"resourceId":"` + strings.ReplaceAll(hidden, "/", "//") + `/"`,
		"by its name":                 `"registryUri":"` + w.login(other) + `"`,
		"by its name in upper case":   `"registryUri":"` + strings.ToUpper(w.login(other)) + `"`,
		"by its URL":                  `"registryUri":"https://` + w.login(other) + `/"`,
		"by its URL without TLS":      `"registryUri":"http://` + w.login(other) + `"`,
	} {
		t.Run(name, func(t *testing.T) { w.arm(t, p, "POST", into, source(members)).refused(t, denied) })
	}
	t.Run("an ID that is not there", func(t *testing.T) {
		w.arm(t, p, "POST", into, source(`"resourceId":"`+w.registry(group2, "nobody1")+`"`)).refused(t, denied)
	})
	t.Run("with a refresh token of another registry as the password", func(t *testing.T) {
		credentials := `"credentials":{"username":"` + refresher + `","password":"` + p.refresh(t, first) + `"}`
		a := w.arm(t, p, "POST", into, source(`"registryUri":"`+w.login(other)+`",`+credentials)).ok(t)
		if message := w.operation(t, p, a); !strings.Contains(message, "Failed") {
			t.Errorf("the import ended %s", message)
		}
	})
	t.Run("nothing was imported", func(t *testing.T) {
		w.v2(t, first, basic(refresher, w.admin.refresh(t, first)), "GET", "/v2/stolen/manifests/1",
			"").refused(t, refusal{404, "NAME_UNKNOWN", ""})
	})
	t.Run("control: with the right to pull", func(t *testing.T) {
		w.assign(t, p.objectID, "AcrPull", hidden)
		w.arm(t, p, "POST", into, source(`"resourceId":"`+hidden+`"`)).ok(t)
	})
}

// operation waits for the end of what an answer of 202 began, and returns what is told of it.
func (w *world) operation(t *testing.T, p *person, accepted answer) string {
	t.Helper()
	if accepted.status != 202 {
		t.Fatalf("%s: %d %s", accepted.request, accepted.status, accepted.body)
	}
	u, err := url.Parse(accepted.header.Get("Azure-Asyncoperation"))
	must(t, err)
	var a answer
	eventually(t, "the end of the operation", func() bool {
		a = w.arm(t, p, "GET", u.RequestURI(), "").ok(t)
		return a.text("status") != "InProgress"
	})
	return a.body
}
