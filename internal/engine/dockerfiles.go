package engine

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/nearest"
	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// Bounds of the search for a Dockerfile that somebody meant.
const (
	maxSearched = 5_000 // files and folders
	maxNamed    = 5
)

var errEnough = errors.New("enough")

// OtherDockerfiles says which Dockerfiles a folder has, as a client in workdir of it would name them, for
// who has named one that is not there: those first that are called most like it; "" without any. Links are not
// followed, and what cannot be read is passed over.
func OtherDockerfiles(folder, workdir, wrong string) string {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return "" // there is no source to tell of
	}
	defer root.Close()
	var found []string
	seen := 0
	_ = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if seen++; seen > maxSearched {
			return errEnough
		}
		switch {
		case err != nil:
			return fs.SkipDir
		case entry.IsDir() && name != "." && slices.Contains([]string{".git", "node_modules"}, entry.Name()):
			return fs.SkipDir
		case entry.Type().IsRegular() && isDockerfile(entry.Name()):
			found = append(found, below(workdir, name))
		}
		return nil
	})
	if len(found) == 0 {
		return "" // nothing that would help
	}
	return "; the source has " + someOf(found, wrong)
}

// isDockerfile goes by the names that people give Dockerfiles.
func isDockerfile(name string) bool {
	name = strings.ToLower(name)
	return !strings.HasSuffix(name, ".dockerignore") && (strings.Contains(name, "dockerfile") || strings.Contains(name, "containerfile"))
}

// below names a file as a client in workdir does.
func below(workdir, name string) string {
	if inside, ok := strings.CutPrefix(name, workdir+"/"); ok && workdir != "" {
		return inside
	}
	if workdir != "" && workdir != "." {
		return taskfile.WorkspaceDir + "/" + name
	}
	return name
}

// someOf names a few files, nearest first, then those that lie highest.
func someOf(found []string, wrong string) string {
	slices.SortStableFunc(found, func(a, b string) int { return strings.Count(a, "/") - strings.Count(b, "/") })
	best := nearest.Word(wrong, found)
	for _, name := range found {
		if best == "" && strings.EqualFold(path.Base(name), path.Base(wrong)) {
			best = name
		}
	}
	if best != "" {
		found = slices.Insert(slices.DeleteFunc(found, func(name string) bool { return name == best }), 0, best)
	}
	if len(found) > maxNamed {
		return strings.Join(found[:maxNamed], ", ") + ", …"
	}
	return strings.Join(found, ", ")
}
