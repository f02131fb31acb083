package engine_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
)

// What failed first is told: the step, its exit status, and the words of who could not start it;
// what programs say is theirs.
func TestCause(t *testing.T) {
	const daemon = "docker: Error response from daemon: pull access denied for x\nSee 'docker run --help'."
	for name, test := range map[string]struct {
		steps, output, want string
		code                int
	}{
		"an exit status":       {"steps: [{id: a, cmd: x}]\n", "the password is swordfish", "failed to run step ID: a: exit status 3", 3},
		"no image":             {"steps: [{id: a, cmd: x}]\n", daemon, "failed to run step ID: a: exit status 125: docker: Error response from daemon: pull access denied for x", 125},
		"no program":           {"steps: [{id: a, cmd: x}]\n", "exec: y: not found\n\n", "failed to run step ID: a: exit status 127: exec: y: not found", 127},
		"one that is ignored":  {"steps: [{id: a, cmd: x, ignoreErrors: true}, {id: b, push: [y]}]\n", daemon, "failed to run step ID: b: failed to push images successfully: denied", 125},
		"a mistake in options": {"steps: [{id: a, cmd: --nosuch x}]\n", "", "failed to run step ID: a: unknown flag: --nosuch", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := &enginetest.Fake{OnCommand: exits(time.Second, test.output, test.code),
					OnPush: func(_ context.Context, _ string, out io.Writer) (engine.PushResult, error) {
						fmt.Fprintln(out, "denied")
						return engine.PushResult{}, nil
					}}
				outcome, _, err := execute(t, t.Context(), fake, test.steps, nil)
				if err != nil || outcome.Message != engine.RunFailed || outcome.Cause != test.want {
					t.Errorf("%+v, %v; want %q", outcome, err, test.want)
				}
			})
		})
	}
}
