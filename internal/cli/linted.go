package cli

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// What lint knows of a task file is told before the file is sent or run, so that a slip does
// not wait for a log that somebody reads.

// lintStep tells of the file of an encoded step, or of a request for a run. Of a file that is
// to stay as a task, what a run would refuse is refused here.
func (c *call) lintStep(ctx context.Context, name, folder string, step document, refuse bool) error {
	if name == "" || c.text("cmd") != "" {
		return nil // the text is a command, and ours
	}
	text := decoded(step["encodedTaskContent"])
	if text == nil && folder != "" && !isRemote(folder) {
		text, _ = engine.ReadBelow(folder, name) // what is not there is missed by the run
	}
	if text == nil {
		return nil
	}
	values, _ := step["values"].([]document)
	return c.lintInput(ctx, taskfile.Input{Name: name, File: text,
		ValuesFile: decoded(step["encodedValuesContent"]), Values: documentValues(values)}, refuse)
}

func decoded(member any) []byte {
	encoded, _ := member.(string)
	if encoded == "" {
		return nil
	}
	text, _ := base64.StdEncoding.DecodeString(encoded) // we have encoded it
	return text
}

// lintInput prints warnings, and returns the errors if the file is to be refused for them. A
// value that is given later may mend an error: then it is told like a warning.
func (c *call) lintInput(ctx context.Context, in taskfile.Input, refuse bool) error {
	in.Run = taskfile.Run{ID: "run1", Registry: standIn, RegistryName: standInName,
		SharedVolume: "acb_vol_run1", OS: "linux", Architecture: "amd64"}
	in.AliasSource = func(context.Context, string) ([]byte, error) { return nil, taskfile.ErrNotRead }
	found, err := taskfile.Lint(ctx, in)
	if err != nil {
		return err
	}
	var warnings, faults []fileProblem
	later := strings.Contains(string(in.File), ".Values")
	for _, p := range found {
		if p.Severity == taskfile.Fault && !later {
			faults = append(faults, fileProblem{in.Name, p})
		} else if p.Severity != taskfile.Fault {
			warnings = append(warnings, fileProblem{in.Name, p})
		}
	}
	for _, p := range warnings {
		c.warn("%s", withoutStandIn.Replace(printable(p.String())))
	}
	if !refuse || len(faults) == 0 {
		return nil
	}
	var told []string
	for _, p := range faults {
		told = append(told, withoutStandIn.Replace(printable(p.String())))
	}
	return problem.New(problem.Invalid, "InvalidTaskFile", "%s", strings.Join(told, "\n")).Hint("acrux lint %s", in.Name)
}
