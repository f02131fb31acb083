package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// taskFileFlags say with what a task file is looked at, without a run.
type taskFileFlags struct {
	set                        []string
	values, registry, platform string
}

func (f *taskFileFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "NAME=VALUE for the task file")
	cmd.Flags().StringVar(&f.values, "values", "", "file with values")
	cmd.Flags().StringVarP(&f.registry, "registry", "r", "myregistry", "registry: what $Registry means")
	cmd.Flags().StringVar(&f.platform, "platform", "linux/amd64", "os/architecture of the run")
}

// maxTaskFile is more than a task file may have, in bytes: so that a larger one is refused
// by what it is and not read whole.
const maxTaskFile = 4 << 20

// readTaskFile reads a file, or the standard input, as far as a task file can go.
func (e *environment) readTaskFile(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(e.stdin, maxTaskFile))
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxTaskFile))
}

// input is what a task file is read with. Alias sources that are files come from folder;
// those elsewhere are not read.
func (f *taskFileFlags) input(env *environment, name, folder, loginServer string) (taskfile.Input, error) {
	platform, arch, _ := strings.Cut(f.platform, "/")
	in := taskfile.Input{Name: name, Run: taskfile.Run{
		ID: "run1", TriggeredBy: "Manual", Registry: loginServer, Date: time.Now().UTC().Format(taskfile.DateFormat),
		SharedVolume: "acb_vol_run1", OS: platform, Architecture: arch,
	}}
	in.Run.RegistryName, _, _ = strings.Cut(loginServer, ".")
	in.ServiceEnv = []string{"ACR_DEFAULT_REGISTRY=" + loginServer, "ACR_TASK_HOSTED=1"}
	in.AliasSource = aliasSource(folder)
	for _, pair := range f.set {
		value, err := taskfile.ParseSet(pair)
		if err != nil {
			return in, invalidArgument("--set %s is not NAME=VALUE", pair)
		}
		in.Values = append(in.Values, value)
	}
	var err error
	if f.values != "" {
		if in.ValuesFile, err = env.readTaskFile(f.values); err != nil {
			return in, fmt.Errorf("the values file: %w", err)
		}
	}
	if in.File, err = env.readTaskFile(name); err != nil {
		return in, err
	}
	return in, nil
}

// aliasSource reads sources of aliases below a folder, and none of the network.
func aliasSource(folder string) func(context.Context, string) ([]byte, error) {
	return func(_ context.Context, src string) ([]byte, error) {
		if strings.HasPrefix(src, "http://") || strings.HasPrefix(src, "https://") {
			return nil, taskfile.ErrNotRead
		}
		root, err := os.OpenRoot(folder)
		if err != nil {
			return nil, err
		}
		defer root.Close()
		file, err := root.Open(filepath.FromSlash(src))
		if err != nil {
			// As a server says it, which knows no folder of this machine.
			var pathError *fs.PathError
			if errors.As(err, &pathError) {
				return nil, &fs.PathError{Op: "open", Path: src, Err: pathError.Err}
			}
			return nil, err
		}
		defer file.Close()
		return io.ReadAll(io.LimitReader(file, maxTaskFile))
	}
}

// defaultTaskFile is the task file of a folder.
const defaultTaskFile = "acb.yaml"

// taskFileOf is the task file that is meant by a folder, or by a file in the place of one,
// and by --file; and the folder.
func taskFileOf(context, file string) (name, folder string) {
	switch info, err := os.Stat(context); {
	case file != "":
		return placed(context, file), context
	case context == "-" || err == nil && info.Mode().IsRegular() || err != nil && isTaskFile(context):
		return context, folderOf(context)
	}
	return filepath.Join(context, defaultTaskFile), context
}

// folderOf is where a task file lies.
func folderOf(name string) string {
	if name == "-" {
		return "."
	}
	return filepath.Dir(name)
}

func newSchemaCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{Use: "schema", Short: "Print the JSON Schema of task files, for editors", Args: cobra.NoArgs}
	cmd.RunE = func(*cobra.Command, []string) error {
		text, err := taskfile.Schema()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(env.stdout, string(text))
		return err
	}
	return cmd
}
