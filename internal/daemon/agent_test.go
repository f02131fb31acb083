package daemon

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/arm/problem"
)

// Who waits for a run is told what the engine lacks and what helps; what the machine says of
// itself is for the log.
func TestAgentExcuse(t *testing.T) {
	lacking := problem.New(problem.Unsupported, "EngineUnavailable", "the user builder has no subordinate IDs").
		Hint("usermod --add-subuids 100000-165535 builder")
	told := agentExcuse(fmt.Errorf("opening: %w", lacking))
	for _, want := range []string{"no subordinate IDs", "usermod --add-subuids"} {
		if !strings.Contains(told, want) {
			t.Errorf("%q lacks %q", told, want)
		}
	}
	if told := agentExcuse(errors.New("open /var/lib/secret-place: no such file")); strings.Contains(told, "secret-place") || !strings.Contains(told, "log") {
		t.Error(told)
	}
}
