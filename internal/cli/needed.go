package cli

import (
	"cmp"
	"context"
	"encoding/base64"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// An ignore file says what builds of a folder do not see. A run needs more of the folder: its task
// file, the values file, the Dockerfiles that its steps name.

// neededBy lists the files of a folder that a request for a run names, and those that the task file
// in there does.
func neededBy(ctx context.Context, folder string, body document, values []taskfile.Value) []string {
	var needed []string
	texts := map[string][]byte{}
	for _, member := range []string{"taskFilePath", "valuesFilePath"} {
		if name, _ := body[member].(string); name != "" {
			needed = append(needed, filepath.ToSlash(name))
			texts[member], _ = engine.ReadBelow(folder, name) // what is not there is missed by the run
		}
	}
	if encoded, _ := body["encodedTaskContent"].(string); encoded != "" {
		texts["taskFilePath"], _ = base64.StdEncoding.DecodeString(encoded) // we have encoded it
	}
	return append(needed, neededFiles(ctx, folder, texts["taskFilePath"], texts["valuesFilePath"], values)...)
}

// neededByTask is the same for a run of a task, whose request may name another file than it.
func (c *call) neededByTask(ctx context.Context, id arm.ID, folder string, override document) ([]string, error) {
	var task struct {
		Properties struct {
			Step struct {
				TaskFilePath, DockerFilePath, ValuesFilePath, EncodedTaskContent string
				Values                                                           []taskfile.Value
			}
		}
	}
	if _, err := c.client.Do(ctx, "GET", id.String(), tasksVersion, nil, &task); err != nil {
		return nil, err
	}
	step := task.Properties.Step
	file, _ := override["file"].(string)
	given, _ := override["values"].([]document)
	request := document{"valuesFilePath": step.ValuesFilePath, "encodedTaskContent": step.EncodedTaskContent,
		"taskFilePath": cmp.Or(file, step.TaskFilePath, step.DockerFilePath)}
	return neededBy(ctx, folder, request, append(step.Values, documentValues(given)...)), nil
}

func documentValues(given []document) (values []taskfile.Value) {
	for _, one := range given {
		name, _ := one["name"].(string)
		value, _ := one["value"].(string)
		values = append(values, taskfile.Value{Name: name, Value: value})
	}
	return values
}

func taskValues(given []lease.Value) (values []taskfile.Value) {
	for _, one := range given {
		values = append(values, taskfile.Value{Name: one.Name, Value: one.Value})
	}
	return values
}

// neededFiles are the Dockerfiles that a task file names below a folder. A task file that cannot be
// read has none: the run says what is wrong with it.
func neededFiles(ctx context.Context, folder string, task, valuesFile []byte, values []taskfile.Value) (files []string) {
	plan, err := taskfile.Render(ctx, taskfile.Input{
		Name: "acb.yaml", File: task, ValuesFile: valuesFile, Values: values,
		Run:         taskfile.Run{ID: "run1", Registry: "registry.example", SharedVolume: "acb_vol_run1", OS: "linux", Architecture: "amd64"},
		AliasSource: func(context.Context, string) ([]byte, error) { return nil, nil },
		Secret:      func(context.Context, taskfile.Secret) (string, error) { return "secret", nil },
	})
	if err != nil {
		return nil
	}
	for i := range plan.Steps {
		outlook, err := engine.Foresee(plan, &plan.Steps[i])
		if err != nil || outlook.Dockerfile == "" {
			continue
		}
		file := strings.TrimPrefix(path.Clean(outlook.Dockerfile), taskfile.WorkspaceDir+"/")
		if filepath.IsLocal(file) && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return files
}
