//go:build linux && cgo

package step_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/agent/local"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/tasks/lease"
)

// served serves bytes at a URL on loopback.
func served(t *testing.T, content []byte) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }))
	t.Cleanup(server.Close)
	return server.URL + "/context.tar.gz"
}

func zipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(content)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

// task executes a task file as an agent does, on an executor, and returns how it ended and
// its log. change may say more of the job.
func task(t *testing.T, e engine.Executor, file string, change func(*lease.Job)) (lease.Result, string) {
	t.Helper()
	job := lease.Job{RunID: "attack", RegistryName: "myregistry", LoginServer: "myregistry.invalid",
		Step: lease.Step{Kind: lease.EncodedTask, Task: []byte(file)}}
	if change != nil {
		change(&job)
	}
	var log, faults bytes.Buffer
	o := local.Options{Root: t.TempDir(), Dialer: reachable(), StepNetwork: true, Executor: e,
		Logger: slog.New(slog.NewTextHandler(&faults, &slog.HandlerOptions{Level: slog.LevelError}))}
	result, err := o.Run(t.Context(), job, &log)
	if err != nil || faults.Len() > 0 {
		t.Fatalf("%v\n%s\n%s", err, log.String(), faults.String())
	}
	return result, log.String()
}

// inContext gives a job a context.
func inContext(url string) func(*lease.Job) {
	return func(job *lease.Job) { job.Step.Context = url }
}

// stepCase is a step that must end in a certain way.
type stepCase struct {
	name string
	line string // the step's members, "cmd: …"; IMAGE is the base image
	says string // what stands in its part of the log: texts with | between, of which one does
	not  string // what does not
}

// trySteps executes all cases as steps of one run, and looks at each one's part of the log.
func trySteps(t *testing.T, p *place, preamble string, cases []stepCase, change func(*lease.Job)) {
	t.Helper()
	var file strings.Builder
	file.WriteString("version: v1.1.0\nstepTimeout: 60\n" + preamble + "steps:\n")
	for i, c := range cases {
		line := p.fill(c.line)
		fmt.Fprintf(&file, "- id: case%d\n  ignoreErrors: true\n  %s\n", i, strings.ReplaceAll(line, "\n", "\n  "))
	}
	result, log := task(t, p.executor, file.String(), change)
	if result.Status != lease.Succeeded {
		t.Fatalf("the run ended with %v\n%s", result, log)
	}
	for i, c := range cases {
		part := partOf(log, i)
		t.Run(c.name, func(t *testing.T) {
			if !containsOne(part, c.says) || c.not != "" && strings.Contains(part, c.not) || strings.Contains(part, "canary of the machine") {
				t.Errorf("want %q and not %q:\n%s", c.says, c.not, part)
			}
		})
	}
}

// containsOne reports whether text has one of several texts with | between.
func containsOne(text, some string) bool {
	for one := range strings.SplitSeq(some, "|") {
		if strings.Contains(text, one) {
			return true
		}
	}
	return false
}

// partOf is what the log says of a step.
func partOf(log string, step int) string {
	_, part, _ := strings.Cut(log, fmt.Sprintf("Executing step ID: case%d.", step))
	part, _, _ = strings.Cut(part, fmt.Sprintf("Executing step ID: case%d.", step+1))
	part, _, _ = strings.Cut(part, "Step ID: case0 marked as")
	return part
}
