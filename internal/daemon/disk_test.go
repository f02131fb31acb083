package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/daemon"
	"github.com/acrux/acrux/internal/engine/enginetest"
)

// When the disk has no more than its reserve, what is new is refused, and what is there goes
// on: it can be read, changed and deleted.
func TestDiskReserve(t *testing.T) {
	data := t.TempDir()
	config := daemon.Config{Data: data, Executor: &enginetest.Fake{}}
	p, stop := start(t, config)
	id := registries(t, signIn(t, data, p), "myregistry")[0]
	stop()
	config.Disk.Reserve = "8000000g"
	p, _ = start(t, config)
	client := signIn(t, data, p)
	run := object{"type": "EncodedTaskRunRequest", "encodedTaskContent": "dmVyc2lvbjogdjEuMS4wCnN0ZXBzOgotIGNtZDogYmFzaAo=", "platform": object{"os": "Linux"}}
	if _, err := client.Do(t.Context(), "POST", id+"/scheduleRun", "2019-06-01-preview", run, nil); !problem.Is(err, problem.Full) {
		t.Errorf("a run is answered with %v", err)
	}
	do(t, client, "GET", id, nil)
	do(t, client, "PATCH", id, object{"tags": object{"a": "b"}})
}

// Mistakes in sizes and times are named.
func TestConfigurationOfSizes(t *testing.T) {
	for text, want := range map[string]string{
		"disk: {reserve: much}":                  "disk.reserve",
		"disk: {reserve: -1}":                    "disk.reserve",
		"runs: {keep: -1h}":                      "runs.keep",
		"agent: {runLimits: {memory: all}}":      "agent.runLimits.memory",
		"agent: {runLimits: {processes: -4}}":    "agent.runLimits",
		"agent: {userNamespaces: perhaps}":       "agent.userNamespaces",
		"agent: {runLimits: {cpus: 2, more: 1}}": "more",
	} {
		file := filepath.Join(t.TempDir(), "acrux.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := daemon.LoadConfig(t.TempDir(), file, func(string) string { return "" })
		if err == nil {
			err = c.Complete()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	c := daemon.Config{Data: t.TempDir()}
	if err := c.Complete(); err != nil || c.Runs.Keep != 30*24*time.Hour {
		t.Errorf("defaults: %v, %v", c.Runs.Keep, err)
	}
}
