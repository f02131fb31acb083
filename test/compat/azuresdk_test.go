package compat_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	acr "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerregistry/armcontainerregistry"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/msi/armmsi"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"

	"github.com/acrux/acrux/test/fixture"
)

// sdk is what the SDK's clients need.
type sdk struct {
	subscription string
	credential   azcore.TokenCredential
	options      *arm.ClientOptions
}

// newSDK points the SDK at the server; authority is "adfs" or the tenant.
func newSDK(t *testing.T, s *fixture.Server, authority string) sdk {
	t.Helper()
	transport, err := fixture.Transport(s.Published.CABundle, s.Published.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	management := s.Published.URL("management")
	options := azcore.ClientOptions{Transport: &http.Client{Transport: transport}, Retry: policy.RetryOptions{MaxRetries: -1},
		Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: s.Published.URL("login"),
			Services: map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: management, Audience: management}}}}
	credential, err := azidentity.NewClientSecretCredential(authority, s.Admin.ClientID, s.Admin.Secret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	return sdk{subscription: s.Published.SubscriptionID, credential: credential, options: &arm.ClientOptions{ClientOptions: options, DisableRPRegistration: true}}
}

// often polls an operation faster than the SDK would.
var often = &runtime.PollUntilDoneOptions{Frequency: time.Second}

// The tutorial's resources, made, used and deleted with the SDK's typed clients, for
// both forms of the authority.
func TestAzureSDK(t *testing.T) {
	t.Parallel()
	need(t)
	s := newWorld(t).serve(t, "")
	for name, authority := range map[string]string{"adfs": "adfs", "tenant": s.Published.TenantID} {
		t.Run(name, func(t *testing.T) { tutorial(t, newSDK(t, s, authority), name) })
	}
}

func tutorial(t *testing.T, k sdk, group string) {
	ctx := t.Context()
	groups := must[*armresources.ResourceGroupsClient](t)(armresources.NewResourceGroupsClient(k.subscription, k.credential, k.options))
	must[armresources.ResourceGroupsClientCreateOrUpdateResponse](t)(groups.CreateOrUpdate(ctx, group, armresources.ResourceGroup{Location: to.Ptr("eastus")}, nil))
	factory := must[*acr.ClientFactory](t)(acr.NewClientFactory(k.subscription, k.credential, k.options))
	registries := factory.NewRegistriesClient()

	creating := must[*runtime.Poller[acr.RegistriesClientCreateResponse]](t)(registries.BeginCreate(ctx, group, "registry"+group,
		acr.Registry{Location: to.Ptr("eastus"), SKU: &acr.SKU{Name: to.Ptr(acr.SKUNameStandard)}}, nil))
	registry := must[acr.RegistriesClientCreateResponse](t)(creating.PollUntilDone(ctx, often))
	if !strings.HasPrefix(*registry.Properties.LoginServer, "registry"+group+".azurecr.") {
		t.Errorf("the login server is %s", *registry.Properties.LoginServer)
	}

	if err := importImage(ctx, registries, group, *registry.Name, "library/node:15-alpine"); err != nil {
		t.Fatal(err)
	}
	var refused *azcore.ResponseError
	if err := importImage(ctx, registries, group, *registry.Name, "library/nothing:1"); !errors.As(err, &refused) || refused.ErrorCode != "ImageNotFound" {
		t.Errorf("importing what is not there: %v", err)
	}

	identities := must[*armmsi.UserAssignedIdentitiesClient](t)(armmsi.NewUserAssignedIdentitiesClient(k.subscription, k.credential, k.options))
	puller := must[armmsi.UserAssignedIdentitiesClientCreateOrUpdateResponse](t)(identities.CreateOrUpdate(ctx, group, "puller", armmsi.Identity{Location: to.Ptr("eastus")}, nil))
	assignments := must[*armauthorization.RoleAssignmentsClient](t)(armauthorization.NewRoleAssignmentsClient(k.subscription, k.credential, k.options))
	role := "/subscriptions/" + k.subscription + "/providers/Microsoft.Authorization/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d"
	must[armauthorization.RoleAssignmentsClientCreateResponse](t)(assignments.Create(ctx, *registry.ID, "11111111-2222-3333-4444-555555555555",
		armauthorization.RoleAssignmentCreateParameters{Properties: &armauthorization.RoleAssignmentProperties{PrincipalID: puller.Properties.PrincipalID, RoleDefinitionID: &role}}, nil))

	runTask(t, factory, group, *registry.Name, *puller.ID)

	deleting := must[*runtime.Poller[armresources.ResourceGroupsClientDeleteResponse]](t)(groups.BeginDelete(ctx, group, nil))
	must[armresources.ResourceGroupsClientDeleteResponse](t)(deleting.PollUntilDone(ctx, often))
	if _, err := registries.Get(ctx, group, *registry.Name, nil); !errors.As(err, &refused) || refused.StatusCode != http.StatusNotFound {
		t.Errorf("the registry of a deleted group: %v", err)
	}
}

func importImage(ctx context.Context, registries *acr.RegistriesClient, group, registry, image string) error {
	importing, err := registries.BeginImportImage(ctx, group, registry, acr.ImportImageParameters{
		Source: &acr.ImportSource{RegistryURI: to.Ptr("docker.io"), SourceImage: &image}, TargetTags: []*string{to.Ptr("base:" + image[len(image)-1:])}}, nil)
	if err == nil {
		_, err = importing.PollUntilDone(ctx, often)
	}
	return err
}

func runTask(t *testing.T, factory *acr.ClientFactory, group, registry, identity string) {
	t.Helper()
	ctx := t.Context()
	file := base64.StdEncoding.EncodeToString([]byte("version: v1.1.0\nsteps:\n- cmd: $Registry/base:e echo hello\n"))
	creating := must[*runtime.Poller[acr.TasksClientCreateResponse]](t)(factory.NewTasksClient().BeginCreate(ctx, group, registry, "hello", acr.Task{Location: to.Ptr("eastus"),
		Identity: &acr.IdentityProperties{Type: to.Ptr(acr.ResourceIdentityTypeUserAssigned), UserAssignedIdentities: map[string]*acr.UserIdentityProperties{identity: {}}},
		Properties: &acr.TaskProperties{Platform: &acr.PlatformProperties{OS: to.Ptr(acr.OSLinux)},
			Step: &acr.EncodedTaskStep{Type: to.Ptr(acr.StepTypeEncodedTask), EncodedTaskContent: &file}}}, nil))
	task := must[acr.TasksClientCreateResponse](t)(creating.PollUntilDone(ctx, often))
	if task.Identity == nil || task.Identity.UserAssignedIdentities[identity] == nil || task.Identity.PrincipalID != nil {
		t.Errorf("the identity block is %+v", task.Identity)
	}
	scheduling := must[*runtime.Poller[acr.RegistriesClientScheduleRunResponse]](t)(factory.NewRegistriesClient().BeginScheduleRun(ctx, group, registry,
		&acr.TaskRunRequest{Type: to.Ptr("TaskRunRequest"), TaskID: task.ID}, nil))
	run := must[acr.RegistriesClientScheduleRunResponse](t)(scheduling.PollUntilDone(ctx, often))
	for *run.Properties.Status != acr.RunStatusSucceeded {
		got := must[acr.RunsClientGetResponse](t)(factory.NewRunsClient().Get(ctx, group, registry, *run.Name, nil))
		switch run.Run = got.Run; *run.Properties.Status {
		case acr.RunStatusQueued, acr.RunStatusStarted, acr.RunStatusRunning, acr.RunStatusSucceeded:
			time.Sleep(20 * time.Millisecond)
		default:
			t.Fatalf("the run ended as %s", *run.Properties.Status)
		}
	}
	link := must[acr.RunsClientGetLogSasURLResponse](t)(factory.NewRunsClient().GetLogSasURL(ctx, group, registry, *run.Name, nil))
	if !strings.Contains(*link.LogLink, ".blob.") {
		t.Errorf("the log is at %s", *link.LogLink)
	}
}
