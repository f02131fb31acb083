package daemon_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/acrux/acrux/internal/client"
	"github.com/acrux/acrux/internal/daemon"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOnPostgreSQL(t *testing.T) { sqlstoretest.Again(t) }

// databases are those of PostgreSQL, by the data directory they belong to.
var databases sync.Map

// kept names the database of a data directory, if it is not in there.
func kept(t *testing.T, config daemon.Config) daemon.Config {
	t.Helper()
	if sqlstoretest.Postgres() && config.Database.Empty() {
		url, known := databases.Load(config.Data)
		if !known {
			url = sqlstoretest.Database(t)
			databases.Store(config.Data, url)
		}
		config.Database = secret.New(url.(string))
	}
	return config
}

// start runs a server until stop is called.
func start(t *testing.T, config daemon.Config) (p daemon.Published, stop func()) {
	t.Helper()
	if config.Listen == "" {
		config.Listen = "127.0.0.1:0"
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	server, err := daemon.New(ctx, kept(t, config), slog.New(slog.DiscardHandler))
	must(t, err)
	ready, done := make(chan daemon.Published, 1), make(chan error, 1)
	go func() { done <- server.Run(ctx, func(p daemon.Published) { ready <- p }) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel(daemon.ErrShutdown)
			must(t, <-done)
		}
	}
	t.Cleanup(stop)
	return <-ready, stop
}

// signIn returns a client of the administrator.
func signIn(t *testing.T, data string, p daemon.Published) *client.Client {
	t.Helper()
	admin, err := daemon.ReadAdmin(data)
	must(t, err)
	c, err := client.New(client.Profile{Management: p.URL("management"), Authority: p.URL("login") + "/adfs", GraphURL: p.URL("graph"), Address: p.Address,
		CABundle: p.CABundle, Tenant: p.TenantID, Subscription: p.SubscriptionID, ClientID: admin.ClientID, Secret: secret.New(admin.Secret)}, "")
	must(t, err)
	return c
}

// baseID is a registry in the group that registries makes, and aliases its public name.
const baseID = "/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/mybaseregistry"

var aliases = daemon.AliasConfig{"mybaseregistry.azurecr.io": baseID}

type object = map[string]any

func do(t *testing.T, c *client.Client, method, path string, body any) object {
	t.Helper()
	var out object
	version := "2023-07-01"
	if strings.Contains(path, "/tasks") || strings.Contains(path, "/runs") || strings.HasSuffix(path, "/scheduleRun") {
		version = "2019-06-01-preview"
	}
	if _, err := c.Do(t.Context(), method, path, version, body, &out); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return out
}

// registries makes a group with registries and returns their IDs.
func registries(t *testing.T, c *client.Client, names ...string) []string {
	t.Helper()
	group := "/subscriptions/" + c.Subscription + "/resourceGroups/g"
	do(t, c, "PUT", group, object{"location": "eastus"})
	var ids []string
	for _, name := range names {
		id := group + "/providers/Microsoft.ContainerRegistry/registries/" + name
		do(t, c, "PUT", id, object{"sku": object{"name": "Basic"}})
		ids = append(ids, id)
	}
	return ids
}

// The whole system but the containers: a task signs in to another registry of the
// server by its public name, and the executor is given the credential.
func TestTutorialWithoutContainers(t *testing.T) {
	var password string
	fake := &enginetest.Fake{}
	fake.OnCommand = func(_ context.Context, _ engine.Command, out io.Writer) (engine.CommandResult, error) {
		if c, ok := fake.Scopes()[0].Spec.Credentials.Credential("mybaseregistry.azurecr.io"); ok {
			password = c.Password.Reveal()
		}
		_, err := fmt.Fprintln(out, "the password is "+password)
		return engine.CommandResult{}, err
	}
	data := t.TempDir()
	p, _ := start(t, daemon.Config{Data: data, LoginServerAliases: aliases, Executor: fake})
	c := signIn(t, data, p)
	ids := registries(t, c, "myregistry", "mybaseregistry")
	file := base64.StdEncoding.EncodeToString([]byte("version: v1.1.0\nsteps:\n- cmd: $Registry/x:$ID\n"))
	task := do(t, c, "PUT", ids[0]+"/tasks/hello", object{"identity": object{"type": "SystemAssigned"}, "properties": object{
		"step":        object{"type": "EncodedTask", "encodedTaskContent": file},
		"credentials": object{"customRegistries": object{"mybaseregistry.azurecr.io": object{"identity": "[system]"}}}}})
	do(t, c, "PUT", ids[1]+"/providers/Microsoft.Authorization/roleAssignments/11111111-2222-3333-4444-555555555555", object{"properties": object{
		"roleDefinitionId": "7f951dda-4ed3-4680-a7ca-43fe172d538d", "principalId": task["identity"].(object)["principalId"]}})
	run := do(t, c, "POST", ids[0]+"/scheduleRun", object{"type": "TaskRunRequest", "taskId": task["id"]})
	link := do(t, c, "POST", run["id"].(string)+"/listLogSasUrl", nil)["logLink"].(string)

	var log bytes.Buffer
	verdict, err := c.FollowLog(t.Context(), link, &log)
	must(t, err)
	if verdict != "successful" || !strings.Contains(log.String(), "Successfully logged into mybaseregistry.azurecr.io") {
		t.Errorf("the run was %s:\n%s", verdict, log.String())
	}
	means := "mybaseregistry.azurecr.io means the registry mybaseregistry.azurecr.acrux.localhost:" + p.Port + " of this installation"
	if strings.Count(log.String(), means) != 1 {
		t.Errorf("the log does not say once what the public name means:\n%s", log.String())
	}
	if strings.Count(password, ".") != 2 {
		t.Error("the executor was not given a token for the other registry")
	}
	if strings.Contains(log.String(), password) || !strings.Contains(log.String(), "the password is ***") {
		t.Errorf("the log shows the credential, or does not mask it:\n%s", log.String())
	}
	if got := do(t, c, "GET", run["id"].(string), nil)["properties"].(object)["status"]; got != "Succeeded" {
		t.Errorf("the run is %v", got)
	}
}

// A second start keeps tenant, keys, certificates, identities and what was made.
func TestSecondStart(t *testing.T) {
	data := t.TempDir()
	config := daemon.Config{Data: data, Executor: &enginetest.Fake{}}
	first, stop := start(t, config)
	c := signIn(t, data, first)
	ids := registries(t, c, "myregistry")
	ca, err := os.ReadFile(first.CABundle)
	must(t, err)
	stop()

	config.Listen = first.Address
	second, _ := start(t, config)
	if second.Listen = first.Listen; second != first {
		t.Errorf("the server now says %+v, before %+v", second, first)
	}
	again, err := os.ReadFile(second.CABundle)
	must(t, err)
	if !bytes.Equal(ca, again) {
		t.Error("the certificate authority is another one")
	}
	do(t, c, "GET", ids[0], nil) // with the token from before
}

func TestOneServerForADirectory(t *testing.T) {
	config := daemon.Config{Data: t.TempDir(), Executor: &enginetest.Fake{}}
	start(t, config)
	config.Listen = "127.0.0.1:0"
	_, err := daemon.New(t.Context(), config, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "in use by another server") {
		t.Errorf("a second server on the directory: %v", err)
	}
}

// What the directory keeps is its owner's alone, and the database has no secret.
func TestSecretsAtRest(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p, stop := start(t, daemon.Config{Data: data, Executor: &enginetest.Fake{}})
	admin, err := daemon.ReadAdmin(data)
	must(t, err)
	c := signIn(t, data, p)
	ids := registries(t, c, "myregistry")
	const password = "opensesame-opensesame"
	do(t, c, "PUT", ids[0]+"/tasks/hello", object{"properties": object{"step": object{"type": "EncodedTask", "encodedTaskContent": "c3RlcHM6IFtdCg=="},
		"credentials": object{"customRegistries": object{"other.example": object{"userName": object{"type": "Opaque", "value": "me"}, "password": object{"type": "Opaque", "value": password}}}}}})
	stop()
	for name, mode := range map[string]os.FileMode{"": 0o700, "keys/master.key": 0o600, "keys/admin.json": 0o600, "tls/ca.key": 0o600} {
		info, err := os.Stat(filepath.Join(data, name))
		must(t, err)
		if info.Mode().Perm() != mode {
			t.Errorf("%q has mode %o, want %o", name, info.Mode().Perm(), mode)
		}
	}
	files, err := filepath.Glob(filepath.Join(data, "acrux.db*"))
	must(t, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		must(t, err)
		for what, text := range map[string]string{"the administrator's secret": admin.Secret, "a task's password": password} {
			if bytes.Contains(content, []byte(text)) {
				t.Errorf("%s has %s in the clear", file, what)
			}
		}
	}
}

func TestForgetSecret(t *testing.T) {
	data := t.TempDir()
	config := daemon.Config{Data: data, Executor: &enginetest.Fake{}}
	p, stop := start(t, config)
	c := signIn(t, data, p)
	do(t, c, "GET", "/subscriptions", nil)
	had, err := daemon.ForgetSecret(data)
	if err != nil || !had {
		t.Fatalf("forgetting: %v, %v", had, err)
	}
	if admin, err := daemon.ReadAdmin(data); err != nil || admin.Secret != "" || admin.ClientID != c.ClientID {
		t.Errorf("the file still says %+v, %v", admin, err)
	}
	if had, err := daemon.ForgetSecret(data); err != nil || had {
		t.Errorf("forgetting again: %v, %v", had, err)
	}
	stop()
	// The next start makes no second administrator.
	start(t, config)
	if admin, err := daemon.ReadAdmin(data); err != nil || admin.Secret != "" || admin.ClientID != c.ClientID {
		t.Errorf("after a start the file says %+v, %v", admin, err)
	}
}

// The authority that users trust signs names of the domain only; those of aliases come
// from another one, which nobody else trusts.
func TestCertificates(t *testing.T) {
	data := t.TempDir()
	p, _ := start(t, daemon.Config{Data: data, LoginServerAliases: aliases, Executor: &enginetest.Fake{}})
	text, err := os.ReadFile(p.CABundle)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	for name, trusted := range map[string]bool{"management.acrux.localhost": true, "login.acrux.localhost": true, "graph.acrux.localhost": true,
		"any.azurecr.acrux.localhost": true, "acrlogs.blob.acrux.localhost": true, "mybaseregistry.azurecr.io": false, "any.azurecr.io": false, "two.labels.azurecr.acrux.localhost": false} {
		conn, err := tls.DialWithDialer(&net.Dialer{}, "tcp", p.Address, &tls.Config{ServerName: name, RootCAs: roots})
		if err == nil {
			must(t, conn.Close())
		}
		if (err == nil) != trusted {
			t.Errorf("%s: %v, trusted should be %v", name, err, trusted)
		}
	}
}

func TestConfig(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"empty", "", ""},
		{"everything", "listen: 127.0.0.1:1\ndomain: a.test\nloginServerAliases: {contoso.azurecr.io: " + baseID + "}\nregistryMirrors: {docker.io: http://127.0.0.1:5000}\nagent: {slots: 4, stepNetwork: none}\n", ""},
		{"limits", "limits: {connections: 5, stall: 30s}\nrateLimits: premium\nblobs: {url: 's3://b?endpoint=http://x', redirect: true}\n", ""},
		{"bad stall", "limits: {stall: soon}\n", "stall"},
		{"negative stall", "limits: {stall: -1s}\n", "negative"},
		{"bad rate limits", "rateLimits: gold\n", "rateLimits"},
		{"redirect without a store", "blobs: {redirect: true}\n", "blobs.url"},
		{"unknown key", "listn: x\n", "listn"},
		{"wrong type", "agent: {slots: many}\n", "many"},
		{"bad domain", "domain: 'a b'\n", "not a host name"},
		{"bad alias", "loginServerAliases: {'*.azurecr.io': " + baseID + "}\n", "not a host name"},
		{"an alias that is the domain", "domain: a.test\nloginServerAliases: {a.test: " + baseID + "}\n", "one below the other"},
		{"an alias below the domain", "domain: a.test\nloginServerAliases: {contoso.azurecr.a.test: " + baseID + "}\n", "one below the other"},
		{"an alias above the domain", "domain: a.b.test\nloginServerAliases: {b.test: " + baseID + "}\n", "one below the other"},
		{"an alias beside the domain", "domain: a.test\nloginServerAliases: {aa.test: " + baseID + "}\n", ""},
		{"aliases of anybody's making", "loginServerAliases: [azurecr.io]\n", "az acr show --name contoso --query id"},
		{"an alias for a name", "loginServerAliases: {contoso.azurecr.io: contoso}\n", "az acr show --name NAME --query id"},
		{"an alias for a group", "loginServerAliases: {contoso.azurecr.io: /subscriptions/s/resourceGroups/g}\n", "not the resource ID of a registry"},
		{"an alias for a part of a registry", "loginServerAliases: {contoso.azurecr.io: " + baseID + "/tasks/t}\n", "not the resource ID of a registry"},
		{"privileges of a registry", "agent: {privileged: [" + baseID + ", /subscriptions/s" + baseID + "]}\n", ""},
		{"privileges of anybody's making", "agent: {privileged: [contoso]}\n", "az acr show --name NAME --query id"},
		{"suffixes of Azure", "azureRegistrySuffixes: [azurecr.example]\n", ""},
		{"a suffix that is all hosts", "azureRegistrySuffixes: [io]\n", "azureRegistrySuffixes"},
		{"egress", "egress: {loopback: true, allow: [10.1.0.0/16], deny: ['10.0.0.0/8', 'fd00::/8']}\n", ""},
		{"no network to allow", "egress: {allow: [10.1.0.0]}\n", "egress.allow"},
		{"no network to deny", "egress: {deny: [everything]}\n", "egress.deny"},
		{"a network without an address in it", "egress: {deny: ['::ffff:10.0.0.0/104']}\n", "egress.deny"},
		{"bad level", "logLevel: loud\n", "logLevel"},
		{"docker", "agent: {executor: docker, dockerHost: 'unix:///run/x.sock'}\n", ""},
		{"bad executor", "agent: {executor: podman}\n", "agent.executor"},
		{"bad step network", "agent: {stepNetwork: host}\n", "stepNetwork"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.WriteFile(filepath.Join(dir, "acrux.yaml"), []byte(tt.file), 0o600))
			config, err := daemon.LoadConfig(dir, "", func(string) string { return "" })
			if err == nil {
				err = config.Complete()
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
