package armapi_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/server/servertest"
)

const assignmentVersion = "?api-version=2022-04-01"

// denied fails the test unless the answer refuses the action, and says how to mend it.
func denied(t *testing.T, a servertest.Answer, action string) {
	t.Helper()
	message, _ := a.At("error", "message").(string)
	if a.Status != http.StatusForbidden || a.At("error", "code") != "AuthorizationFailed" || !strings.Contains(message, "'"+action+"'") {
		t.Errorf("want a denial of %s, got %d %s", action, a.Status, a.Body)
	}
	if !strings.Contains(a.Body, "az role assignment create --assignee ") {
		t.Errorf("the denial does not say what would help: %s", a.Body)
	}
}

func allowed(t *testing.T, a servertest.Answer) {
	t.Helper()
	if a.Status >= 300 {
		t.Errorf("refused: %d %s", a.Status, a.Body)
	}
}

func assignment(scope arm.ID, role string, principal identity.ObjectID) (path, body string) {
	for _, r := range rbac.Roles() {
		if r.Name == role {
			return scope.String() + "/providers/Microsoft.Authorization/roleAssignments/" + uuid.NewString() + assignmentVersion,
				`{"properties":{"roleDefinitionId":"` + r.ID + `","principalId":"` + string(principal) + `"}}`
		}
	}
	panic("no role " + role)
}

func TestContributorMayNotAssign(t *testing.T) {
	w := servertest.New(t)
	p := w.Person("contributor", "Contributor", w.Group)
	path, body := assignment(w.Registry, "AcrPull", p.ObjectID)
	denied(t, w.ARM(p, http.MethodPut, path, body), "Microsoft.Authorization/roleAssignments/write")
	allowed(t, w.ARM(w.Admin, http.MethodPut, path, body))
	path, _, _ = strings.Cut(path, "?")
	denied(t, w.ARM(p, http.MethodDelete, path+assignmentVersion, ""), "Microsoft.Authorization/roleAssignments/delete")
	// Who may assign at one scope may not above it or beside it.
	_, err := w.Assign(t.Context(), p.ObjectID, "User Access Administrator", w.Registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range []arm.ID{w.Group, arm.SubscriptionID(servertest.Subscription), w.NewRegistry("MyRegistry2")} {
		path, body := assignment(scope, "AcrPull", p.ObjectID)
		denied(t, w.ARM(p, http.MethodPut, path, body), "Microsoft.Authorization/roleAssignments/write")
	}
	path, body = assignment(arm.ID{}, "Owner", p.ObjectID)
	denied(t, w.ARM(p, http.MethodPut, "/"+strings.TrimLeft(path, "/"), body), "Microsoft.Authorization/roleAssignments/write")
	path, body = assignment(w.Registry, "AcrPush", p.ObjectID)
	allowed(t, w.ARM(p, http.MethodPut, path, body))
}

// Who may write a task may not make it act as an identity he could not use otherwise.
func TestAttachingAnIdentity(t *testing.T) {
	w := servertest.New(t)
	id := w.Group.In(identity.UserAssigned, "Powerful").String()
	w.ARMOK(w.Admin, http.MethodPut, id, `{"location":"eastus"}`)
	p := w.Person("tasks", "Contributor", w.Registry)
	path := w.Registry.String() + "/tasks/mytask"
	block := `,"identity":{"type":"UserAssigned","userAssignedIdentities":{"` + id + `":{}}}`
	const action = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
	denied(t, w.ARM(p, http.MethodPut, path, encoded("", block)), action)
	allowed(t, w.ARM(p, http.MethodPut, path, encoded("", "")))
	denied(t, w.ARM(p, http.MethodPatch, path, "{"+block[1:]+"}"), action)
	denied(t, w.ARM(p, http.MethodPatch, w.Registry.String(), "{"+block[1:]+"}"), action)

	// An identity that is attached already is none of his doing.
	allowed(t, w.ARM(w.Admin, http.MethodPatch, path, "{"+block[1:]+"}"))
	allowed(t, w.ARM(p, http.MethodPatch, path, `{"properties":{"timeout":700}}`))
	allowed(t, w.ARM(p, http.MethodPut, path, encoded("", block)))

	// One made anew under the old name is another one.
	w.ARMOK(w.Admin, http.MethodDelete, id, "")
	w.ARMOK(w.Admin, http.MethodPut, id, `{"location":"eastus"}`)
	denied(t, w.ARM(p, http.MethodPut, path, encoded("", block)), action)

	operator := w.Person("operator", "Managed Identity Operator", w.Group)
	if _, err := w.Assign(t.Context(), operator.ObjectID, "Contributor", w.Registry); err != nil {
		t.Fatal(err)
	}
	allowed(t, w.ARM(operator, http.MethodPut, path, encoded("", block)))
}

func TestImportNeedsPullThere(t *testing.T) {
	w := servertest.New(t)
	source := w.NewRegistry("SourceReg")
	p := w.Person("importer", "Contributor", w.Registry)
	for _, from := range []string{`"resourceId":"` + source.String() + `"`, `"registryUri":"` + w.LoginServer("sourcereg") + `"`, `"registryUri":"sourcereg.azurecr.io"`} {
		body := `{"source":{` + from + `,"sourceImage":"hello:v1"},"targetTags":["hello:v1"]}`
		denied(t, w.ARM(p, http.MethodPost, w.Registry.String()+"/importImage", body), rbac.ActionPull)
	}
	if _, err := w.Assign(t.Context(), p.ObjectID, "AcrPull", source); err != nil {
		t.Fatal(err)
	}
	a := w.ARM(p, http.MethodPost, w.Registry.String()+"/importImage", `{"source":{"resourceId":"`+source.String()+`","sourceImage":"hello:v1"}}`)
	if a.Status != http.StatusNotFound || a.At("error", "code") != "ImageNotFound" {
		t.Errorf("with the right to pull: %d %s", a.Status, a.Body)
	}
}

// What is taken away is gone with the next request.
func TestRemovedRole(t *testing.T) {
	w := servertest.New(t)
	p := w.Person("reader", "", arm.ID{})
	name, err := w.Assign(t.Context(), p.ObjectID, "Reader", w.Registry)
	if err != nil {
		t.Fatal(err)
	}
	allowed(t, w.ARM(p, http.MethodGet, w.Registry.String(), ""))
	w.ARMOK(w.Admin, http.MethodDelete, w.Registry.String()+"/providers/Microsoft.Authorization/roleAssignments/"+name+assignmentVersion, "")
	denied(t, w.ARM(p, http.MethodGet, w.Registry.String(), ""), "Microsoft.ContainerRegistry/registries/read")
}

func TestReaderSeesNoSecrets(t *testing.T) {
	w := servertest.New(t)
	w.ARMOK(w.Admin, http.MethodPut, w.Registry.String()+"/tasks/mytask", encoded("", ""))
	run := w.ARMOK(w.Admin, http.MethodPost, w.Registry.String()+"/scheduleRun", `{"type":"TaskRunRequest","taskId":"`+w.Registry.String()+`/tasks/mytask"}`).At("name").(string)
	p := w.Person("reader", "Reader", arm.SubscriptionID(servertest.Subscription))
	allowed(t, w.ARM(p, http.MethodGet, w.Registry.String()+"/tasks/mytask", ""))
	denied(t, w.ARM(p, http.MethodPost, w.Registry.String()+"/tasks/mytask/listDetails", ""), "Microsoft.ContainerRegistry/registries/tasks/listDetails/action")
	denied(t, w.ARM(p, http.MethodPost, w.Registry.String()+"/runs/"+run+"/listLogSasUrl", ""), "Microsoft.ContainerRegistry/registries/runs/listLogSasUrl/action")
}

// A token of a task's identity is for who may change the task, and says for whom and for
// what it is.
func TestTaskTokens(t *testing.T) {
	w := servertest.New(t)
	path := w.Registry.String() + "/tasks/mytask"
	task := w.ARMOK(w.Admin, http.MethodPut, path, encoded("", `,"identity":{"type":"SystemAssigned"}`))
	w.ARMOK(w.Admin, http.MethodPut, w.Registry.String()+"/tasks/plain", encoded("", ""))
	const ask = `{"audience":"https://management.azure.com/"}`
	given := w.ARMOK(w.Admin, http.MethodPost, path+"/getIdentityToken", ask)
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(given.At("token").(string), ".")[1])
	if err != nil || !strings.Contains(string(claims), task.At("identity", "principalId").(string)) || !strings.Contains(string(claims), "https://management.azure.com/") {
		t.Errorf("the token says %s, %v", claims, err)
	}
	for _, role := range []string{"Reader", "AcrPush"} {
		p := w.Person("one with "+role, role, w.Registry)
		denied(t, w.ARM(p, http.MethodPost, path+"/getIdentityToken", ask), "Microsoft.ContainerRegistry/registries/tasks/getIdentityToken/action")
	}
	allowed(t, w.ARM(w.Person("contributor", "Contributor", w.Registry), http.MethodPost, path+"/getIdentityToken", ask))
	for name, test := range map[string]struct {
		path, body string
		status     int
	}{
		"no audience":           {path, `{}`, 400},
		"an identity unknown":   {path, `{"audience":"x","clientId":"11111111-2222-3333-4444-555555555555"}`, 400},
		"a task without":        {w.Registry.String() + "/tasks/plain", ask, 400},
		"a task that is not":    {w.Registry.String() + "/tasks/nothere", ask, 404},
		"a body that is a text": {path, `"x"`, 400},
	} {
		if a := w.ARM(w.Admin, http.MethodPost, test.path+"/getIdentityToken", test.body); a.Status != test.status || strings.Contains(a.Body, "eyJ") {
			t.Errorf("%s: status %d, want %d: %s", name, a.Status, test.status, a.Body)
		}
	}
}

// A list shows what may be read of it; who may read nothing learns nothing, not even
// whether the place is there.
func TestListsAreFiltered(t *testing.T) {
	w := servertest.New(t)
	w.NewRegistry("MyRegistry2")
	p := w.Person("narrow", "Reader", w.Registry)
	for _, path := range []string{"/subscriptions/" + servertest.Subscription, w.Group.String()} {
		a := w.ARMOK(p, http.MethodGet, path+"/providers/Microsoft.ContainerRegistry/registries", "")
		if !strings.Contains(a.Body, `/MyRegistry"`) || strings.Contains(a.Body, "MyRegistry2") {
			t.Errorf("the list of %s is %s", path, a.Body)
		}
		a = w.ARMOK(p, http.MethodGet, path+"/resources?api-version=2021-04-01", "")
		if !strings.Contains(a.Body, `/MyRegistry"`) || strings.Contains(a.Body, "MyRegistry2") {
			t.Errorf("the resources of %s are %s", path, a.Body)
		}
	}
	const read = "Microsoft.ContainerRegistry/registries/tasks/read"
	denied(t, w.ARM(p, http.MethodGet, w.Group.String()+"/providers/Microsoft.ContainerRegistry/registries/MyRegistry2/tasks", ""), read)
	denied(t, w.ARM(p, http.MethodGet, w.Group.String()+"/providers/Microsoft.ContainerRegistry/registries/nobody/tasks", ""), read)
	stranger := w.Person("stranger", "", arm.ID{})
	if a := w.ARMOK(stranger, http.MethodGet, "/subscriptions?api-version=2022-12-01", ""); a.Body != `{"value":[]}` {
		t.Errorf("a stranger sees %s", a.Body)
	}
}

func TestTokens(t *testing.T) {
	w := servertest.New(t)
	issue := func(audience string, age time.Duration) string {
		text, err := w.Issuer.Identity(w.Admin.Principal, audience, time.Now().Add(-age), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := issue(w.URL("management"), 0)
	for _, test := range []struct {
		name, header string
		status       int
		code         string
	}{
		{"none", "", 401, "AuthenticationFailed"},
		{"basic", "Basic eDp5", 401, "AuthenticationFailed"},
		{"rubbish", "Bearer x.y.z", 401, "InvalidAuthenticationToken"},
		{"tampered", "Bearer " + good[:len(good)-8] + "AAAAAAAA", 401, "InvalidAuthenticationToken"},
		{"another audience", "Bearer " + issue(w.URL("graph"), 0), 401, "InvalidAuthenticationTokenAudience"},
		{"expired", "Bearer " + issue(w.URL("management"), 2*time.Hour), 401, "ExpiredAuthenticationToken"},
		{"good", "Bearer " + good, 200, ""},
		{"with a slash", "Bearer " + issue(w.URL("management")+"/", 0), 200, ""},
		{"Azure's audience", "Bearer " + issue("https://management.core.windows.net/", 0), 200, ""},
	} {
		a := w.Do(servertest.Request{Method: http.MethodGet, URL: w.URL("management") + "/subscriptions?api-version=2022-12-01", Header: map[string]string{"Authorization": test.header}})
		code, _ := a.At("error", "code").(string)
		if a.Status != test.status || code != test.code {
			t.Errorf("%s: %d %s", test.name, a.Status, a.Body)
		}
		challenge := a.Header.Get("WWW-Authenticate")
		if want := `Bearer authorization_uri="` + w.URL("login") + `/` + servertest.Tenant + `"`; a.Status == 401 && (!strings.HasPrefix(challenge, want) || strings.Contains(challenge, "claims")) {
			t.Errorf("%s: the challenge is %s", test.name, challenge)
		}
	}
}
