package compat_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/msi/armmsi"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"

	"github.com/acrux/acrux/internal/client"
	"github.com/acrux/acrux/test/fixture"
)

// groupsSeen lists the groups that a credential may see.
func (k sdk) groupsSeen(t *testing.T, credential azcore.TokenCredential) []string {
	t.Helper()
	groups := must[*armresources.ResourceGroupsClient](t)(armresources.NewResourceGroupsClient(k.subscription, credential, k.options))
	var names []string
	for pager := groups.NewListPager(nil); pager.More(); {
		page, err := pager.NextPage(t.Context())
		check(t, err)
		for _, group := range page.Value {
			names = append(names, *group.Name)
		}
	}
	return names
}

// acrux runs a client command as the administrator and returns its output.
func acrux(t *testing.T, s *fixture.Server, args ...string) string {
	t.Helper()
	cmd := exec.Command(must[string](t)(exec.LookPath("acrux")), args...)
	cmd.Env = append(os.Environ(), append(s.Exports(), "ACRUX_CONFIG_DIR="+t.TempDir())...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("acrux %s: %v: %s%s", strings.Join(args, " "), err, out, complaints.String())
	}
	return strings.TrimSpace(string(out))
}

// A workload signs in as a managed identity with a token of another issuer; here that is
// the installation's own, for another principal.
func TestWorkloadIdentity(t *testing.T) {
	t.Parallel()
	need(t)
	s := newWorld(t).serve(t, "")
	k := newSDK(t, s, "adfs")
	acrux(t, s, "group", "create", "--name", "g", "--location", "eastus")
	identities := must[*armmsi.ClientFactory](t)(armmsi.NewClientFactory(k.subscription, k.credential, k.options))
	made := must[armmsi.UserAssignedIdentitiesClientCreateOrUpdateResponse](t)(identities.NewUserAssignedIdentitiesClient().CreateOrUpdate(t.Context(), "g", "workload", armmsi.Identity{Location: to.Ptr("eastus")}, nil))
	acrux(t, s, "role", "assignment", "create", "--assignee-object-id", *made.Properties.PrincipalID, "--role", "Reader", "--scope", "/subscriptions/"+k.subscription+"/resourceGroups/g")
	subject := acrux(t, s, "ad", "sp", "show", "--id", s.Admin.ClientID, "--query", "id", "--output", "tsv")
	_, err := identities.NewFederatedIdentityCredentialsClient().CreateOrUpdate(t.Context(), "g", "workload", "ci-1", armmsi.FederatedIdentityCredential{Properties: &armmsi.FederatedIdentityCredentialProperties{
		Issuer: to.Ptr(s.Published.URL("login") + "/" + s.Published.TenantID + "/"), Subject: &subject, Audiences: []*string{to.Ptr("api://AzureADTokenExchange")}}}, nil)
	check(t, err)
	foreign := must[azcore.AccessToken](t)(k.credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"api://AzureADTokenExchange/.default"}}))
	file := filepath.Join(t.TempDir(), "token")
	check(t, os.WriteFile(file, []byte(foreign.Token), 0o600))
	workload := func() azcore.TokenCredential {
		return must[*azidentity.WorkloadIdentityCredential](t)(azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: k.options.ClientOptions,
			ClientID: *made.Properties.ClientID, TenantID: s.Published.TenantID, TokenFilePath: file, DisableInstanceDiscovery: true}))
	}
	if got := k.groupsSeen(t, workload()); len(got) != 1 || got[0] != "g" {
		t.Errorf("the workload sees %v", got)
	}
	// A token for something else is not taken, whoever made it.
	other := must[azcore.AccessToken](t)(k.credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{s.Published.URL("management") + "/.default"}}))
	check(t, os.WriteFile(file, []byte(other.Token), 0o600))
	if _, err := workload().GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{s.Published.URL("management") + "/.default"}}); err == nil {
		t.Error("a token for another audience was taken")
	}
}

// A service principal signs in with a certificate that was registered for it.
func TestCertificate(t *testing.T) {
	t.Parallel()
	need(t)
	s := newWorld(t).serve(t, "")
	k := newSDK(t, s, "adfs")
	key := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ci"}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour)}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	cert := must[*x509.Certificate](t)(x509.ParseCertificate(der))

	acrux(t, s, "group", "create", "--name", "g", "--location", "eastus")
	app := acrux(t, s, "ad", "sp", "create-for-rbac", "--name", "ci", "--role", "Reader", "--scopes", "/subscriptions/"+k.subscription+"/resourceGroups/g", "--query", "appId", "--output", "tsv")
	object := acrux(t, s, "ad", "app", "show", "--id", app, "--query", "id", "--output", "tsv")
	body := `{"keyCredentials":[{"type":"AsymmetricX509Cert","usage":"Verify","key":"` + base64.StdEncoding.EncodeToString(der) + `"}]}`
	acrux(t, s, "rest", "--method", http.MethodPatch, "--url", s.Published.URL("graph")+"/v1.0/applications/"+object, "--body", body)
	for name, authority := range map[string]string{"adfs": "adfs", "tenant": s.Published.TenantID} {
		credential := must[*azidentity.ClientCertificateCredential](t)(azidentity.NewClientCertificateCredential(authority, app, []*x509.Certificate{cert}, key,
			&azidentity.ClientCertificateCredentialOptions{ClientOptions: k.options.ClientOptions, DisableInstanceDiscovery: true}))
		if got := k.groupsSeen(t, credential); len(got) != 1 || got[0] != "g" {
			t.Errorf("%s: the principal sees %v", name, got)
		}
	}
	stranger := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))
	der = must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, stranger.Public(), stranger))
	credential := must[*azidentity.ClientCertificateCredential](t)(azidentity.NewClientCertificateCredential("adfs", app, []*x509.Certificate{must[*x509.Certificate](t)(x509.ParseCertificate(der))}, stranger,
		&azidentity.ClientCertificateCredentialOptions{ClientOptions: k.options.ClientOptions, DisableInstanceDiscovery: true}))
	if _, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{s.Published.URL("management") + "/.default"}}); err == nil {
		t.Error("a certificate that nobody registered was taken")
	}
	// Our own client takes the same file.
	bundle := filepath.Join(t.TempDir(), "ci.pem")
	check(t, os.WriteFile(bundle, pemOf(t, key, cert), 0o600))
	c := must[*client.Client](t)(client.New(client.Profile{Management: s.Published.URL("management"), Authority: s.Published.URL("login") + "/adfs", Address: s.Published.Address,
		CABundle: s.Published.CABundle, Method: client.ByCertificate, ClientID: app, Certificate: bundle}, ""))
	if _, err := c.Token(t.Context(), s.Published.URL("management")); err != nil {
		t.Error(err)
	}
}

// In a step the SDK finds the identities of the task and no others, without being told
// where to ask.
func TestManagedIdentityInStep(t *testing.T) {
	t.Parallel()
	need(t)
	s := newWorld(t).serve(t, "")
	folder := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(folder, "probe"), "./identityprobe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	check(t, os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte("FROM scratch\nCOPY probe /probe\nENTRYPOINT [\"/probe\"]\n"), 0o600))
	acrux(t, s, "group", "create", "--name", "g", "--location", "eastus")
	acrux(t, s, "acr", "create", "--resource-group", "g", "--name", "myregistry", "--sku", "Basic")
	acrux(t, s, "acr", "build", "--registry", "myregistry", "--image", "probe:1", folder)
	one := acrux(t, s, "identity", "create", "--resource-group", "g", "--name", "one", "--query", "[id,clientId]", "--output", "tsv")
	id, clientID, _ := strings.Cut(one, "\n")
	other := acrux(t, s, "identity", "create", "--resource-group", "g", "--name", "other", "--query", "clientId", "--output", "tsv")

	run := func(task, want string) {
		t.Helper()
		if log := acrux(t, s, "acr", "task", "run", "--registry", "myregistry", "--name", task); !strings.Contains(log, want) {
			t.Errorf("%s: want %q in %s", task, want, log)
		}
	}
	create := func(task, cmd string, more ...string) {
		t.Helper()
		acrux(t, s, append([]string{"acr", "task", "create", "--registry", "myregistry", "--name", task, "--context", "/dev/null", "--cmd", cmd}, more...)...)
	}
	create("system", "$Registry/probe:1", "--assign-identity")
	run("system", "/tasks/system")
	create("user-assigned", "$Registry/probe:1 "+clientID, "--assign-identity", id)
	run("user-assigned", "token of "+clientID)
	create("stranger", "$Registry/probe:1 "+other, "--assign-identity", id)
	run("stranger", "no token: ")
	create("nobody", "$Registry/probe:1")
	run("nobody", "no token: ")
}

// pemOf is a certificate with its key as a file has them.
func pemOf(t *testing.T, key *rsa.PrivateKey, cert *x509.Certificate) []byte {
	t.Helper()
	pkcs8 := must[[]byte](t)(x509.MarshalPKCS8PrivateKey(key))
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
}
