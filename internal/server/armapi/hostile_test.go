package armapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/server/servertest"
)

// Bad input is answered in Resource Manager's form and never with 5xx, but for 501,
// which says that something is not there.
func TestBadRequests(t *testing.T) {
	w := servertest.New(t)
	w.ARMOK(w.Admin, http.MethodPut, w.Registry.String()+"/tasks/mytask", encoded("", ""))
	const v = "?api-version=2019-06-01-preview"
	s, g, r := "/subscriptions/"+servertest.Subscription, w.Group.String(), w.Registry.String()
	deep := strings.Repeat(`{"properties":`, 20000) + strings.Repeat("}", 20000)
	for _, test := range []struct {
		name, method, path, body string
		status                   int
		code                     string
	}{
		{"ten megabytes", "PUT", r + v, `{"x":"` + strings.Repeat("x", 10<<20) + `"}`, 413, "RequestContentTooLarge"},
		{"no JSON", "PUT", r + v, `{"sku":`, 400, "InvalidRequestContent"},
		{"nothing", "PUT", r + v, ``, 400, "InvalidRequestContent"},
		{"null", "PUT", r + v, `null`, 400, "MissingSku"},
		{"a list", "PUT", r + v, `[]`, 400, "InvalidRequestContent"},
		{"a string", "PUT", r + v, `"x"`, 400, "InvalidRequestContent"},
		{"deep", "PATCH", r + v, deep, 400, "InvalidRequestContent"},
		{"a number for a name", "PUT", r + v, `{"sku":{"name":7}}`, 400, "InvalidRequestContent"},
		{"a string for properties", "PATCH", r + v, `{"properties":"x"}`, 400, "InvalidRequestContent"},
		{"a string for a bool", "PATCH", r + v, `{"properties":{"adminUserEnabled":"yes"}}`, 400, "InvalidRequestContent"},
		{"a string for the identity", "PATCH", r + v, `{"identity":"SystemAssigned"}`, 400, "InvalidRequestContent"},
		{"an unknown identity type", "PATCH", r + v, `{"identity":{"type":"Everyone"}}`, 400, "InvalidIdentityType"},
		{"users without the type", "PATCH", r + "/tasks/mytask" + v,
			`{"identity":{"type":"SystemAssigned","userAssignedIdentities":{"x":{}}}}`, 400, "InvalidIdentityType"},
		{"users without any type", "PATCH", r + "/tasks/mytask" + v,
			`{"identity":{"userAssignedIdentities":{"x":{}}}}`, 400, "InvalidIdentityType"},
		{"users to remove without any type", "PATCH", r + v, `{"identity":{"userAssignedIdentities":{"x":null}}}`,
			400, "InvalidIdentityType"},
		{"users without any type in a new task", "PUT", r + "/tasks/mytask" + v,
			`{"location":"eastus","identity":{"userAssignedIdentities":{"x":{}}}}`, 400, "InvalidIdentityType"},
		{"none and some", "PATCH", r + v, `{"identity":{"type":"None, SystemAssigned"}}`, 400, "InvalidIdentityType"},
		{"an identity that is no ID", "PATCH", r + v, `{"identity":{"type":"UserAssigned","userAssignedIdentities":{"x":{}}}}`, 400, "FailedIdentityOperation"},
		{"an identity that is a group", "PATCH", r + v, `{"identity":{"type":"UserAssigned","userAssignedIdentities":{"` + g + `":{}}}}`, 400, "FailedIdentityOperation"},
		{"an identity that is missing", "PATCH", r + v, `{"identity":{"type":"UserAssigned","userAssignedIdentities":{"` + g + `/providers/Microsoft.ManagedIdentity/userAssignedIdentities/no1":{}}}}`, 400, "FailedIdentityOperation"},
		{"a huge number", "PATCH", r + "/tasks/mytask" + v, `{"properties":{"timeout":1e300}}`, 400, "InvalidRequestContent"},
		{"half a second", "PATCH", r + "/tasks/mytask" + v, `{"properties":{"timeout":600.5}}`, 400, "InvalidRequestContent"},
		{"a negative timeout", "PATCH", r + "/tasks/mytask" + v, `{"properties":{"timeout":-1}}`, 400, "InvalidParameterValue"},
		{"negative CPUs", "PATCH", r + "/tasks/mytask" + v, `{"properties":{"agentConfiguration":{"cpu":-1}}}`, 400, "InvalidParameterValue"},
		{"an unknown login mode", "PATCH", r + "/tasks/mytask" + v, `{"properties":{"credentials":{"sourceRegistry":{"loginMode":"Magic"}}}}`, 400, "InvalidParameterValue"},
		{"no step", "PUT", r + "/tasks/mytask" + v, `{"properties":{}}`, 400, "InvalidParameterValue"},
		{"not base64", "PUT", r + "/tasks/mytask" + v, `{"properties":{"step":{"type":"EncodedTask","encodedTaskContent":"%%"}}}`, 400, "InvalidParameterValue"},
		{"a null credential", "PUT", r + "/tasks/mytask" + v, encoded(`,"credentials":{"customRegistries":{"a.example":null}}`, ""), 400, "InvalidParameterValue"},
		{"a credential for a path", "PUT", r + "/tasks/mytask" + v, encoded(`,"credentials":{"customRegistries":{"a/b":{"identity":"[system]"}}}`, ""), 400, "InvalidParameterValue"},
		{"a source trigger", "PUT", r + "/tasks/mytask" + v, encoded(`,"trigger":{"sourceTriggers":[{"name":"t"}]}`, ""), 400, "InvalidParameterValue"},
		{"a timer without a schedule", "PUT", r + "/tasks/mytask" + v, encoded(`,"trigger":{"timerTriggers":[{"name":"t"}]}`, ""), 400, "InvalidParameterValue"},
		{"a timer with a word", "PUT", r + "/tasks/mytask" + v, encoded(`,"trigger":{"timerTriggers":[{"name":"t","schedule":"@daily"}]}`, ""), 400, "InvalidParameterValue"},
		{"a timer with seconds", "PUT", r + "/tasks/mytask" + v, encoded(`,"trigger":{"timerTriggers":[{"name":"t","schedule":"0 0 * * * *"}]}`, ""), 400, "InvalidParameterValue"},
		{"a timer with a time zone", "PUT", r + "/tasks/mytask" + v, encoded(`,"trigger":{"timerTriggers":[{"name":"t","schedule":"TZ=UTC 0 * * *"}]}`, ""), 400, "InvalidParameterValue"},
		{"a timer at minute 61", "PUT", r + "/tasks/mytask" + v, encoded(`,"trigger":{"timerTriggers":[{"name":"t","schedule":"61 * * * *"}]}`, ""), 400, "InvalidParameterValue"},
		{"a timer without a name", "PUT", r + "/tasks/mytask" + v, encoded(`,"trigger":{"timerTriggers":[{"schedule":"0 * * * *"}]}`, ""), 400, "InvalidParameterValue"},
		{"a timer of an odd status", "PUT", r + "/tasks/mytask" + v, encoded(`,"trigger":{"timerTriggers":[{"name":"t","schedule":"0 * * * *","status":"On"}]}`, ""), 400, "InvalidParameterValue"},
		{"two timers of a name", "PUT", r + "/tasks/mytask" + v, encoded(`,"trigger":{"timerTriggers":[{"name":"t","schedule":"0 * * * *"},{"name":"T","schedule":"0 * * * *"}]}`, ""), 400, "InvalidParameterValue"},
		{"timers that are no list", "PUT", r + "/tasks/mytask" + v, encoded(`,"trigger":{"timerTriggers":{"name":"t"}}`, ""), 400, "InvalidRequestContent"},
		{"timers that are no list in a patch", "PATCH", r + "/tasks/mytask" + v, `{"properties":{"trigger":{"timerTriggers":"t"}}}`, 400, "InvalidRequestContent"},
		{"a timer that is a number in a patch", "PATCH", r + "/tasks/mytask" + v, `{"properties":{"trigger":{"timerTriggers":[7]}}}`, 400, "InvalidRequestContent"},
		{"no version", "GET", r + "?x=y", ``, 400, "MissingApiVersionParameter"},
		{"a bad version", "GET", r + "?api-version=latest", ``, 400, "InvalidApiVersionParameter"},
		{"a version too old", "GET", r + "?api-version=2001-01-01", ``, 400, "NoRegisteredProviderFound"},
		{"a version to come", "GET", r + "?api-version=2099-01-01", ``, 400, "NoRegisteredProviderFound"},
		{"another subscription", "GET", strings.Replace(r, servertest.Subscription, "33333333-0000-4000-8000-000000000003", 1) + v, ``, 404, "SubscriptionNotFound"},
		{"a subscription that is none", "GET", "/subscriptions/x/resourcegroups" + v, ``, 404, "SubscriptionNotFound"},
		{"an unknown provider", "GET", g + "/providers/Microsoft.Compute/virtualMachines/vm1" + v, ``, 501, "NotImplemented"},
		{"a list of an unknown provider", "GET", g + "/providers/Microsoft.Compute/virtualMachines" + v, ``, 501, "NotImplemented"},
		{"a type not served yet", "GET", r + "/webhooks/hook1" + v, ``, 501, "NotImplemented"},
		{"an action not served yet", "POST", r + "/getBuildSourceUploadUrl" + v, ``, 501, "NotImplemented"},
		{"a resource outside of groups", "PUT", s + "/providers/Microsoft.ContainerRegistry/registries/outside1" + v, `{"sku":{"name":"Basic"}}`, 404, "NotFound"},
		{"a path to nowhere", "GET", "/a/b/c" + v, ``, 404, "NotFound"},
		{"the root", "GET", "/" + v, ``, 404, "NotFound"},
		{"POST on a resource", "POST", r + v, `{}`, 405, "MethodNotAllowed"},
		{"GET on an action", "GET", r + "/scheduleRun" + v, ``, 405, "MethodNotAllowed"},
		{"an invented method", "BREW", r + v, ``, 405, "MethodNotAllowed"},
		{"POST on the groups", "POST", s + "/resourcegroups" + v, `{}`, 405, "MethodNotAllowed"},
		{"DELETE on the subscriptions", "DELETE", "/subscriptions" + v, ``, 405, "MethodNotAllowed"},
		{"GET on a check", "GET", s + "/providers/Microsoft.ContainerRegistry/checkNameAvailability" + v, ``, 405, "MethodNotAllowed"},
		{"PUT on a run", "PUT", r + "/runs/ca1" + v, `{}`, 405, "MethodNotAllowed"},
		{"PATCH on an assignment", "PATCH", r + "/providers/Microsoft.Authorization/roleAssignments/x?api-version=2022-04-01", `{}`, 405, "MethodNotAllowed"},
		{"an assignment that is no GUID", "PUT", r + "/providers/Microsoft.Authorization/roleAssignments/x?api-version=2022-04-01", `{"properties":{"roleDefinitionId":"7f951dda-4ed3-4680-a7ca-43fe172d538d"}}`, 400, "InvalidRoleAssignmentId"},
		{"an assignment of no role", "PUT", r + "/providers/Microsoft.Authorization/roleAssignments/aaaaaaaa-0000-4000-8000-000000000001?api-version=2022-04-01", `{}`, 400, "RoleDefinitionDoesNotExist"},
		{"an assignment with a condition", "PUT", r + "/providers/Microsoft.Authorization/roleAssignments/aaaaaaaa-0000-4000-8000-000000000001?api-version=2022-04-01", `{"properties":{"roleDefinitionId":"7f951dda-4ed3-4680-a7ca-43fe172d538d","condition":"x"}}`, 501, "NotImplemented"},
		{"an assignment at what is not there", "PUT", g + "/providers/Microsoft.ContainerRegistry/registries/nobody1/providers/Microsoft.Authorization/roleAssignments/aaaaaaaa-0000-4000-8000-000000000001?api-version=2022-04-01", `{"properties":{"roleDefinitionId":"7f951dda-4ed3-4680-a7ca-43fe172d538d","principalId":"` + string(w.Admin.ObjectID) + `"}}`, 404, "ResourceNotFound"},
		{"an assignment at a repository", "PUT", r + "/repositories/team/app/providers/Microsoft.Authorization/roleAssignments/aaaaaaaa-0000-4000-8000-000000000001?api-version=2022-04-01", `{}`, 400, "InvalidScope"},
		{"roles at a repository with a bad name", "GET", r + "/repositories/%24(id)/providers/Microsoft.Authorization/roleDefinitions?api-version=2022-04-01", ``, 400, "InvalidScope"},
		{"an assignment at a registry of no name", "PUT", g + "/providers/Microsoft.ContainerRegistry/registries/providers/Microsoft.Authorization/roleAssignments/x?api-version=2022-04-01", `{}`, 501, "NotImplemented"},
		{"double slashes", "GET", strings.ReplaceAll(r, "/", "//") + v, ``, 200, ""},
		{"a slash at the end", "GET", r + "/" + v, ``, 200, ""},
		{"a name with a dot", "PUT", g + "/providers/Microsoft.ContainerRegistry/registries/.." + v, `{"sku":{"name":"Basic"}}`, 400, "InvalidResourceName"},
		{"a name with a slash", "PUT", g + "/providers/Microsoft.ContainerRegistry/registries/..%2f..%2fetc" + v, `{"sku":{"name":"Basic"}}`, 501, "NotImplemented"},
		{"a name with a zero byte", "GET", g + "/providers/Microsoft.ContainerRegistry/registries/a%00b" + v, ``, 404, "ResourceNotFound"},
		{"a name that is no text", "GET", g + "/providers/Microsoft.ContainerRegistry/registries/%ff%fe" + v, ``, 404, "ResourceNotFound"},
		{"a name too long", "PUT", g + "/providers/Microsoft.ContainerRegistry/registries/" + strings.Repeat("a", 5000) + v, `{"sku":{"name":"Basic"}}`, 400, "InvalidResourceName"},
		{"a task name with blanks", "PUT", r + "/tasks/my%20task" + v, encoded("", ""), 400, "InvalidTaskName"},
		{"a group name that ends in a dot", "PUT", s + "/resourcegroups/group." + v, `{"location":"eastus"}`, 400, "InvalidResourceGroup"},
		{"a group of dots", "PUT", s + "/resourcegroups/.." + v, `{"location":"eastus"}`, 400, "InvalidResourceGroup"},
		{"an identity with a dot", "PUT", g + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/a.b.c" + v, `{"location":"eastus"}`, 400, "InvalidParameter"},
		{"top zero", "GET", r + "/runs" + v + "&$top=0", ``, 400, "InvalidParameterValue"},
		{"top huge", "GET", r + "/runs" + v + "&$top=99999999999999999999", ``, 400, "InvalidParameterValue"},
		{"top large", "GET", r + "/runs" + v + "&$top=999999999", ``, 200, ""},
		{"a weird filter", "GET", r + "/runs" + v + "&$filter=" + url.QueryEscape(`TaskName eq 'a' or 1=1; -- %`), ``, 200, ""},
		{"an action of a group", "POST", w.Group.String() + "/exportTemplate" + v, `{}`, 501, "NotImplemented"},
		{"a filter with a quote", "GET", s + "/resources" + v + "&$filter=" + url.QueryEscape(`resourceType eq ''' or 'x`), ``, 400, "InvalidFilterInQueryString"},
		{"a filter for a type of nothing", "GET", s + "/resources" + v + "&$filter=" + url.QueryEscape(`resourceType eq '/'`), ``, 200, ""},
		{"a run of nothing", "POST", r + "/scheduleRun" + v, `{}`, 400, "InvalidRequestContent"},
		{"a run of another registry's task", "POST", r + "/scheduleRun" + v, `{"type":"TaskRunRequest","taskId":"` + g + `/providers/Microsoft.ContainerRegistry/registries/MyRegistry2/tasks/mytask"}`, 400, "InvalidTaskId"},
		{"an import from nowhere", "POST", r + "/importImage" + v, `{"source":{"sourceImage":"a:b"}}`, 400, "InvalidParameterValue"},
		{"an import of a path", "POST", r + "/importImage" + v, `{"source":{"registryUri":"docker.io","sourceImage":"../a:b"}}`, 400, "InvalidParameterValue"},
		{"an operation that never was", "GET", s + "/providers/Microsoft.ContainerRegistry/operations/x" + v, ``, 404, "OperationNotFound"},
		{"a registry with network rules", "PATCH", r + v, `{"properties":{"networkRuleSet":{"defaultAction":"Deny"}}}`, 501, "NotImplemented"},
		{"a registry with rights per repository", "PATCH", r + v, `{"properties":{"roleAssignmentMode":"AbacRepositoryPermissions"}}`, 501, "NotImplemented"},
		{"a registry that exports nothing", "PATCH", r + v, `{"properties":{"policies":{"exportPolicy":{"status":"disabled"}}}}`, 501, "NotImplemented"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := w.ARM(w.Admin, test.method, test.path, test.body)
			code, _ := a.At("error", "code").(string)
			if message, _ := a.At("error", "message").(string); code != "" && message == "" {
				t.Errorf("the error says nothing: %s", a.Body)
			}
			if a.Status != test.status || code != test.code {
				t.Errorf("want %d %s, got %d %.300s", test.status, test.code, a.Status, a.Body)
			}
		})
	}
}
