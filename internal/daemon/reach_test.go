package daemon_test

import (
	"bytes"
	"context"
	"log/slog"
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
	var log bytes.Buffer
	config := kept(t, daemon.Config{Data: t.TempDir(), Listen: "127.0.0.1:0", Executor: &enginetest.Fake{},
		Egress: daemon.EgressConfig{Loopback: true, Allow: []string{"10.1.0.0/16"}, Deny: []string{"10.0.0.0/8"}}})
	server, err := daemon.New(t.Context(), config, slog.New(slog.NewTextHandler(&log, nil)))
	must(t, err)
	ended, end := context.WithCancel(t.Context())
	end()
	must(t, server.Run(ended, func(daemon.Published) {}))
	first, _, _ := strings.Cut(log.String(), "\n")
	for _, text := range []string{`callers="this machine as well, allowed 10.1.0.0/16, denied 10.0.0.0/8"`, `content="not this machine, allowed 10.1.0.0/16, denied 10.0.0.0/8"`} {
		if !strings.Contains(first, text) {
			t.Errorf("the first line has no %s: %s", text, log.String())
		}
	}
}
