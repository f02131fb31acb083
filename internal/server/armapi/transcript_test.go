package armapi_test

import (
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/server/servertest"
)

// The paths of the transcript, with short names for what is always the same.
var short = strings.NewReplacer("{S}", "/subscriptions/"+servertest.Subscription, "{G}", "/subscriptions/"+servertest.Subscription+"/resourceGroups/MyGroup",
	"{R}", "/subscriptions/"+servertest.Subscription+"/resourceGroups/MyGroup/providers/Microsoft.ContainerRegistry/registries/MyRegistry",
	"{I}", "/subscriptions/"+servertest.Subscription+"/resourceGroups/MyGroup/providers/Microsoft.ManagedIdentity/userAssignedIdentities",
	"{A}", "/providers/Microsoft.Authorization")

// hello is "version: v1.1.0\nsteps:\n  - cmd: hello\n".
const hello = "dmVyc2lvbjogdjEuMS4wCnN0ZXBzOgogIC0gY21kOiBoZWxsbwo="

const taskBody = `{"location":"eastus","identity":{"type":"UserAssigned","userAssignedIdentities":{"{I}/MyId":{}}},"properties":{"status":"Enabled",
"platform":{"os":"linux","architecture":"amd64"},"agentConfiguration":{"cpu":2},"timeout":3600,"step":{"type":"EncodedTask","encodedTaskContent":"` + hello + `","values":[]},
"trigger":{"baseImageTrigger":{"baseImageTriggerType":"Runtime","updateTriggerPayloadType":"Default","status":"Enabled","name":"defaultBaseimageTriggerName"}},"credentials":{},"isSystemTask":false}}`

// The answers that clients depend on, word by word.
func TestTranscript(t *testing.T) {
	w := servertest.New(t)
	tr := w.NewTranscript()
	for _, step := range []struct{ title, method, path, body string }{
		{"tenants", "GET", "/tenants?api-version=2022-12-01", ""},
		{"subscriptions", "GET", "/subscriptions?api-version=2022-12-01", ""},
		{"one subscription", "GET", "{S}?api-version=2022-12-01", ""},
		{"locations", "GET", "{S}/locations?api-version=2022-12-01", ""},
		{"a provider", "GET", "{S}/providers/microsoft.containerregistry?api-version=2021-04-01", ""},
		{"a new group", "PUT", "{S}/resourcegroups/Other?api-version=2021-04-01", `{"location":"westus","tags":{"a":"b"}}`},
		{"the group again", "PUT", "{S}/resourcegroups/other?api-version=2021-04-01", `{"location":"westus"}`},
		{"a group moves", "PUT", "{S}/resourcegroups/other?api-version=2021-04-01", `{"location":"eastus"}`},
		{"a group is there", "HEAD", "{S}/resourcegroups/other?api-version=2021-04-01", ""},
		{"a group is not there", "HEAD", "{S}/resourcegroups/nobody?api-version=2021-04-01", ""},
		{"a group without a location", "PUT", "{S}/resourcegroups/nowhere?api-version=2021-04-01", `{}`},
		{"groups", "GET", "{S}/resourcegroups?api-version=2021-04-01", ""},
		{"delete a group", "DELETE", "{S}/resourcegroups/other?api-version=2021-04-01", ""},
		{"delete it again", "DELETE", "{S}/resourcegroups/other?api-version=2021-04-01", ""},
		{"name taken", "POST", "{S}/providers/Microsoft.ContainerRegistry/checkNameAvailability", `{"name":"MYREGISTRY","type":"Microsoft.ContainerRegistry/registries"}`},
		{"name free", "POST", "{S}/providers/Microsoft.ContainerRegistry/checkNameAvailability", `{"name":"another1","type":"Microsoft.ContainerRegistry/registries"}`},
		{"name impossible", "POST", "{S}/providers/Microsoft.ContainerRegistry/checkNameAvailability", `{"name":"a-b","type":"Microsoft.ContainerRegistry/registries"}`},
		{"a registry", "GET", "{R}", ""},
		{"a registry changes", "PATCH", "{R}", `{"tags":{"x":"y"},"sku":{"name":"premium"},"properties":{"adminUserEnabled":null,"policies":null}}`},
		{"a registry with a path for a name", "PUT", "{G}/providers/Microsoft.ContainerRegistry/registries/../registries/myregistry2", `{"sku":{"name":"Basic"}}`},
		{"a registry without a sku", "PUT", "{G}/providers/Microsoft.ContainerRegistry/registries/plain1", `{}`},
		{"a registry with an admin user", "PATCH", "{R}", `{"properties":{"adminUserEnabled":true}}`},
		{"a registry missing", "GET", "{G}/providers/Microsoft.ContainerRegistry/registries/nobody", ""},
		{"a group missing", "GET", "{S}/resourceGroups/nobody/providers/Microsoft.ContainerRegistry/registries/nobody", ""},
		{"resources by type", "GET", "{S}/resources?api-version=2021-04-01&$filter=resourceType%20eq%20'Microsoft.ContainerRegistry/registries'", ""},
		{"a new identity", "PUT", "{I}/MyId?api-version=2023-01-31", `{"location":"eastus"}`},
		{"the identity again", "PUT", "{I}/myid?api-version=2023-01-31", `{"location":"eastus","tags":{"a":"b"}}`},
		{"identities", "GET", "{S}/providers/Microsoft.ManagedIdentity/userAssignedIdentities?api-version=2023-01-31", ""},
		{"a new federated credential", "PUT", "{I}/MyId/federatedIdentityCredentials/github?api-version=2023-01-31", `{"properties":{"issuer":"https://token.actions.githubusercontent.com","subject":"repo:o/r:ref:refs/heads/main","audiences":["api://AzureADTokenExchange"]}}`},
		{"the federated credential again", "PUT", "{I}/myid/federatedIdentityCredentials/GitHub?api-version=2023-01-31", `{"properties":{"issuer":"https://token.actions.githubusercontent.com","subject":"repo:o/r:environment:prod","audiences":["api://AzureADTokenExchange"]}}`},
		{"another with the same issuer and subject", "PUT", "{I}/MyId/federatedIdentityCredentials/other?api-version=2023-01-31", `{"properties":{"issuer":"https://token.actions.githubusercontent.com","subject":"repo:o/r:environment:prod","audiences":["api://AzureADTokenExchange"]}}`},
		{"a federated credential with an expression", "PUT", "{I}/MyId/federatedIdentityCredentials/other?api-version=2025-01-31-preview", `{"properties":{"issuer":"https://x","claimsMatchingExpression":{"value":"claims['sub'] matches 'x*'","languageVersion":1},"audiences":["api://AzureADTokenExchange"]}}`},
		{"a federated credential without an issuer", "PUT", "{I}/MyId/federatedIdentityCredentials/other?api-version=2023-01-31", `{"properties":{"subject":"s","audiences":["a"]}}`},
		{"a federated credential of nobody", "PUT", "{I}/nobody/federatedIdentityCredentials/other?api-version=2023-01-31", `{"properties":{"issuer":"https://x","subject":"s","audiences":["a"]}}`},
		{"federated credentials", "GET", "{I}/MyId/federatedIdentityCredentials?api-version=2023-01-31", ""},
		{"delete a federated credential", "DELETE", "{I}/MyId/federatedIdentityCredentials/github?api-version=2023-01-31", ""},
		{"delete it again", "DELETE", "{I}/MyId/federatedIdentityCredentials/github?api-version=2023-01-31", ""},
		{"tags of an identity", "PATCH", "{I}/MyId?api-version=2023-01-31", `{"tags":{"c":"d"}}`},
		{"what an identity is assigned to, nothing", "POST", "{I}/MyId/listAssociatedResources?api-version=2022-01-31-preview", ""},
		{"a new task", "PUT", "{R}/tasks/HelloWorld", taskBody},
		{"the task in lower case", "GET", "{S}/resourcegroups/mygroup/providers/microsoft.containerregistry/registries/myregistry/tasks/helloworld", ""},
		{"tasks", "GET", "{R}/tasks", ""},
		{"what an identity is assigned to", "POST", "{I}/myid/listAssociatedResources?api-version=2022-01-31-preview&$top=5", ""},
		{"a task gets a system identity and a credential", "PATCH", "{R}/tasks/HelloWorld", `{"identity":{"type":"SystemAssigned, UserAssigned"},"properties":{"platform":{},"agentConfiguration":{},"credentials":{"customRegistries":{"base.example:5000":{"userName":{"type":"Opaque","value":"me"},"password":{"type":"Opaque","value":"secret"}}}}}}`},
		{"its details", "POST", "{R}/tasks/HelloWorld/listDetails", ""},
		{"a task loses its identities", "PATCH", "{R}/tasks/HelloWorld", `{"identity":{"type":"None"}}`},
		{"a run", "POST", "{R}/scheduleRun", `{"type":"TaskRunRequest","taskId":"{R}/tasks/helloworld"}`},
		{"runs", "GET", "{R}/runs?api-version=2019-06-01-preview&$top=1&$filter=TaskName%20eq%20'HelloWorld'", ""},
		{"a run missing", "GET", "{R}/runs/zz9", ""},
		{"roles by name", "GET", "{R}{A}/roleDefinitions?api-version=2022-04-01&$filter=roleName%20eq%20'acrpull'", ""},
		{"an assignment", "PUT", "{R}{A}/roleAssignments/aaaaaaaa-0000-4000-8000-000000000001?api-version=2022-04-01", `{"properties":{"roleDefinitionId":"{S}{A}/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d","principalId":"ADMIN"}}`},
		{"the assignment again", "PUT", "{R}{A}/roleAssignments/aaaaaaaa-0000-4000-8000-000000000001?api-version=2022-04-01", `{"properties":{"roleDefinitionId":"{S}{A}/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d","principalId":"ADMIN"}}`},
		{"the assignment under another name", "PUT", "{R}{A}/roleAssignments/aaaaaaaa-0000-4000-8000-000000000002?api-version=2022-04-01", `{"properties":{"roleDefinitionId":"{S}{A}/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d","principalId":"ADMIN"}}`},
		{"an assignment to nobody", "PUT", "{R}{A}/roleAssignments/aaaaaaaa-0000-4000-8000-000000000003?api-version=2022-04-01", `{"properties":{"roleDefinitionId":"{S}{A}/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d","principalId":"aaaaaaaa-0000-4000-8000-00000000000f"}}`},
		{"assignments at the scope", "GET", "{R}{A}/roleAssignments?api-version=2022-04-01&$filter=atScope()", ""},
		{"delete the assignment", "DELETE", "{R}{A}/roleAssignments/aaaaaaaa-0000-4000-8000-000000000001?api-version=2022-04-01", ""},
		{"delete it again", "DELETE", "{R}{A}/roleAssignments/aaaaaaaa-0000-4000-8000-000000000001?api-version=2022-04-01", ""},
		{"delete the task", "DELETE", "{R}/tasks/HelloWorld", ""},
		{"delete it again", "DELETE", "{R}/tasks/HelloWorld", ""},
		{"the cloud, 2015", "GET", "/metadata/endpoints?api-version=2015-01-01", ""},
		{"the cloud, 2019", "GET", "/metadata/endpoints?api-version=2019-05-01", ""},
		{"the cloud, 2022", "GET", "/metadata/endpoints?api-version=2022-09-01", ""},
	} {
		body := strings.ReplaceAll(short.Replace(step.body), "ADMIN", string(w.Admin.ObjectID))
		a := w.ARM(w.Admin, step.method, short.Replace(step.path), body)
		tr.Add(step.title, step.method+" "+step.path+" "+step.body, a, "ETag", "Location", "Azure-Asyncoperation", "Retry-After")
	}
	servertest.Golden(t, "transcript.golden", tr.String())
}
