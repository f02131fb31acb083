package engine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	securejoin "github.com/cyphar/filepath-securejoin"

	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// workspace is the run's working directory on this machine. Steps write to it, so
// nothing in it is trusted: names are resolved inside it, and what a symbolic link
// says about the machine outside is never followed.
type workspace string

// relative turns a path as a step sees it into one inside the workspace.
func relative(stepPath string) (string, bool) {
	inside, found := strings.CutPrefix(path.Clean(stepPath), taskfile.WorkspaceDir)
	if !found || inside != "" && inside[0] != '/' {
		return "", false
	}
	return strings.TrimPrefix(inside, "/"), true
}

// inStep makes a path as the step means it: relative ones begin at its directory.
func inStep(workdir, name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(workdir, name)
}

// directory resolves a directory of the step.
func (w workspace) directory(stepPath string) (string, error) {
	resolved, err := w.resolve(stepPath)
	if err != nil {
		return "", err
	}
	if info, err := os.Lstat(resolved); err != nil || !info.IsDir() {
		return "", fs.ErrNotExist
	}
	return resolved, nil
}

// resolve returns the path on this machine, without symbolic links.
func (w workspace) resolve(stepPath string) (string, error) {
	inside, ok := relative(stepPath)
	if !ok {
		return "", fs.ErrNotExist
	}
	return securejoin.SecureJoin(string(w), inside)
}

// maxSmallFile bounds what is read whole: Dockerfiles and secrets.
const maxSmallFile = 4 << 20

// read reads a small regular file of the step.
func (w workspace) read(stepPath string) ([]byte, error) {
	inside, ok := relative(stepPath)
	if !ok {
		return nil, fs.ErrNotExist
	}
	return ReadBelow(string(w), inside)
}

// ReadBelow reads a small file below dir, whatever its name says and whichever links
// lie there. A pipe or device is refused without opening it; if
// a step puts one in the place of the file just then, nothing waits for it.
func ReadBelow(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if info, err := root.Stat(filepath.FromSlash(name)); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file") // opening a device may do something
	}
	file, err := root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(file, maxSmallFile+1))
	if err == nil && len(text) > maxSmallFile {
		err = fmt.Errorf("larger than %d bytes", maxSmallFile)
	}
	return text, err
}

// reason is the text of a file error as the system words it, without the path.
func reason(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "no such file or directory"
	}
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}

// place moves a fetched directory into the workspace under a plain name. What a
// step may have put there is removed first, links not followed.
func (w workspace) place(fetched, name string) error {
	root, err := os.OpenRoot(string(w))
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.RemoveAll(name); err != nil {
		return err
	}
	return os.Rename(fetched, filepath.Join(string(w), name))
}
