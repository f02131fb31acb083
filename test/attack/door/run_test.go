package door_test

import (
	"encoding/base64"
	"slices"
	"testing"
	"time"
)

// ended are the states in which a run is over.
var ended = []string{"Succeeded", "Failed", "Canceled", "Error", "Timeout"}

// schedule starts a quick run of a task file, as somebody; "" is one without steps that do
// anything. More members of the request may follow, each with a comma in front.
func (w *world) schedule(t *testing.T, p *person, registry, task string, more ...string) answer {
	t.Helper()
	if task == "" {
		task = "version: v1.1.0\nsteps:\n- cmd: $Registry/nothere:1 true\n"
	}
	body := `{"type":"EncodedTaskRunRequest","platform":{"os":"linux"},"encodedTaskContent":"` +
		base64.StdEncoding.EncodeToString([]byte(task)) + `"`
	for _, member := range more {
		body += member
	}
	return w.arm(t, p, "POST", w.registry(groupOf(registry), registry)+"/scheduleRun", body+"}").ok(t)
}

func groupOf(registry string) string {
	if registry == other {
		return group2
	}
	return group1
}

// finished waits for the end of a run, and returns it with its log.
func (w *world) finished(t *testing.T, registry, run string) (state answer, log string) {
	t.Helper()
	path := w.registry(groupOf(registry), registry) + "/runs/" + run
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		state = w.arm(t, w.admin, "GET", path, "").ok(t)
		if slices.Contains(ended, state.text("properties", "status")) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the run %s does not end: %s", run, state.body)
		}
	}
	link := w.arm(t, w.admin, "POST", path+"/listLogSasUrl", "").ok(t).text("logLink")
	return state, w.do(t, ask{"GET", link, nil, ""}).ok(t).body
}

// eventually waits for something that another process does.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !done(); time.Sleep(30 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}
