package daemon_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/daemon"
	"github.com/acrux/acrux/internal/engine/enginetest"
)

// importFrom has a registry fetched and returns the code of its failure.
func importFrom(t *testing.T, config daemon.Config, host string) string {
	t.Helper()
	config.Data, config.Executor = t.TempDir(), &enginetest.Fake{}
	p, _ := start(t, config)
	c := signIn(t, config.Data, p)
	registry := registries(t, c, "myregistry")[0]
	answer, err := c.Do(t.Context(), "POST", registry+"/importImage", "2023-07-01", object{"source": object{"registryUri": host, "sourceImage": "a/b:1"}, "targetTags": []string{"b:1"}}, nil)
	must(t, err)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		var operation struct{ Status, Error any }
		_, err := c.Do(t.Context(), "GET", strings.TrimPrefix(answer.Header.Get("Location"), p.URL("management")), "2023-07-01", nil, &operation)
		if err != nil {
			return err.Error()
		}
		if time.Now().After(deadline) {
			t.Fatalf("the import goes on: %v", operation)
		}
	}
}

// A server that listens on loopback, as it does by default, connects to nobody there: it may
// be reached through a proxy. An own key lets it, for what callers name.
func TestLoopbackHasItsOwnKey(t *testing.T) {
	var asked atomic.Int32
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.NotFound(w, r)
	}))
	defer upstream.Close()
	host := strings.TrimPrefix(upstream.URL, "http://")
	if got := importFrom(t, daemon.Config{}, host); !strings.Contains(got, "egress policy") || asked.Load() != 0 {
		t.Errorf("by default: %s after %d requests", got, asked.Load())
	}
	if got := importFrom(t, daemon.Config{Egress: daemon.EgressConfig{Loopback: true}}, host); strings.Contains(got, "egress policy") || asked.Load() == 0 {
		t.Errorf("with the key: %s after %d requests", got, asked.Load())
	}
}

// The first line that a server logs says whom it talks to.
func TestPolicyIsLogged(t *testing.T) {
	log := logged(t, daemon.Config{Data: t.TempDir(), Egress: daemon.EgressConfig{Loopback: true, Allow: []string{"10.1.0.0/16"}, Deny: []string{"10.0.0.0/8"}}})
	first, _, _ := strings.Cut(log, "\n")
	for _, text := range []string{`callers="this machine as well, allowed 10.1.0.0/16, denied 10.0.0.0/8"`, `content="not this machine, allowed 10.1.0.0/16, denied 10.0.0.0/8"`} {
		if !strings.Contains(first, text) {
			t.Errorf("the first line has no %s: %s", text, log)
		}
	}
}

// logged starts a server and returns what it logs until it is ready.
func logged(t *testing.T, config daemon.Config) string {
	t.Helper()
	var log bytes.Buffer
	config.Listen, config.Executor = "127.0.0.1:0", &enginetest.Fake{}
	server, err := daemon.New(t.Context(), kept(t, config), slog.New(slog.NewTextHandler(&log, nil)))
	must(t, err)
	ended, end := context.WithCancel(t.Context())
	end()
	must(t, server.Run(ended, func(daemon.Published) {}))
	return log.String()
}

// A public name means the registry of one resource ID. Another one of that name, which
// somebody made who may make registries elsewhere, has neither the name nor privileges. What
// the configuration names and nobody has made is told at the start.
func TestAliasMeansOneRegistry(t *testing.T) {
	const public = "mybaseregistry.azurecr.io"
	data, privileged := t.TempDir(), map[string]bool{}
	fake := &enginetest.Fake{}
	config := daemon.Config{Data: data, LoginServerAliases: aliases, Executor: fake, Agent: daemon.AgentConfig{Privileged: daemon.PrivilegedConfig{Registries: []string{baseID}}}}
	if log := logged(t, config); !strings.Contains(log, "key=loginServerAliases entry="+public) || !strings.Contains(log, "key=agent.privileged entry="+baseID) {
		t.Errorf("the start does not tell what matches nothing:\n%s", log)
	}
	p, stop := start(t, config)
	c := signIn(t, data, p)
	visit := func() int {
		t.Helper()
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, p.Address)
		}}
		defer transport.CloseIdleConnections()
		response, err := (&http.Client{Transport: transport}).Get("https://" + public + "/v2/")
		must(t, err)
		must(t, response.Body.Close())
		return response.StatusCode
	}
	run := func(registry string) bool {
		t.Helper()
		file := base64.StdEncoding.EncodeToString([]byte("version: v1.1.0\nsteps:\n- cmd: $Registry/x\n"))
		scheduled := do(t, c, "POST", registry+"/scheduleRun", object{"type": "EncodedTaskRunRequest", "encodedTaskContent": file, "platform": object{"os": "linux"}})
		link := do(t, c, "POST", scheduled["id"].(string)+"/listLogSasUrl", nil)["logLink"].(string)
		_, err := c.FollowLog(t.Context(), link, io.Discard)
		must(t, err)
		scopes := fake.Scopes()
		spec := scopes[len(scopes)-1].Spec
		_, named := spec.Credentials.Credential(public)
		privileged[registry] = spec.Privileged
		return named
	}
	elsewhere := "/subscriptions/" + c.Subscription + "/resourceGroups/h"
	do(t, c, "PUT", elsewhere, object{"location": "eastus"})
	impostor := elsewhere + "/providers/Microsoft.ContainerRegistry/registries/mybaseregistry"
	do(t, c, "PUT", impostor, object{"sku": object{"name": "Basic"}})
	if status := visit(); status != http.StatusNotFound {
		t.Errorf("another registry of the name answers to the public name with %d", status)
	}
	if run(impostor) || privileged[impostor] {
		t.Error("its runs have the name, or privileges")
	}
	do(t, c, "DELETE", impostor, nil)
	real := registries(t, c, "mybaseregistry")[0]
	if status := visit(); status != http.StatusUnauthorized {
		t.Errorf("the registry that is meant answers with %d", status)
	}
	if !run(real) || !privileged[real] {
		t.Error("its runs have neither")
	}
	stop()
	if log := logged(t, config); strings.Contains(log, "does not exist") {
		t.Errorf("the start tells of what is there:\n%s", log)
	}
}
