package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/disk"
	"github.com/acrux/acrux/internal/registry/collect"
	"github.com/acrux/acrux/internal/store/sqlstore"
)

// Usage is what a server keeps, kind by kind.
type Usage struct {
	Data  string `json:"data"`
	Bytes int64  `json:"bytes"` // in the data directory
	Free  int64  `json:"free"`  // on its disk, for an ordinary user
	Parts []Part `json:"parts"`
}

// Part is a kind of what a server keeps.
type Part struct {
	Kind      string `json:"kind"`
	Name      string `json:"name"`         // for people
	Of        string `json:"of,omitempty"` // kind of the part that this one is within
	Bytes     int64  `json:"bytes"`        // as long as files are
	Count     int64  `json:"count"`        // files, or blobs
	Where     string `json:"where"`        // path, or URL without a password
	Elsewhere bool   `json:"elsewhere"`    // than in the data directory
	Unread    int64  `json:"unread"`       // folders of others, which are not counted
	Freed     string `json:"freed"`        // what frees it: a command, or how it goes by itself
}

// DiskUsage tells what a configuration's server keeps and how that can become less, whether the
// server runs or not. Sizes of content are those that the database knows: no blob is looked at.
func DiskUsage(ctx context.Context, config Config) (u Usage, err error) {
	db, err := openShared(ctx, config)
	if err != nil {
		return u, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	content, err := sqlstore.Collect{Registry: sqlstore.Registry{DB: db}}.Usage(ctx, time.Now())
	if err != nil {
		return u, fmt.Errorf("the content of registries: %w", err)
	}
	u.Data, u.Parts = config.Data, contentParts(config, content)
	if !config.Database.Empty() {
		part := Part{Kind: "database", Name: "Database", Where: withoutPassword(config.Database.Reveal()), Elsewhere: true}
		if part.Bytes, err = db.PostgresBytes(ctx); err != nil {
			return u, fmt.Errorf("the database: %w", err)
		}
		u.Parts = append(u.Parts, part)
	}
	if config.Agent.Executor == "docker" && !config.Agent.Off {
		u.Parts = append(u.Parts, Part{Kind: "docker", Name: "Images and build cache of the Docker Engine",
			Where: config.Agent.DockerHost, Elsewhere: true, Freed: "docker system df, docker system prune"})
	}
	folders, err := folderParts(ctx, config)
	if err != nil {
		return u, err
	}
	u.Parts = append(u.Parts, folders...)
	for _, part := range u.Parts {
		if part.Of == "" && !part.Elsewhere {
			u.Bytes += part.Bytes
		}
	}
	u.Free, err = disk.Free(config.Data)
	return u, err
}

// contentParts are the blobs of registries and of pushes under way.
func contentParts(config Config, u collect.Usage) []Part {
	where, elsewhere := filepath.Join(config.Data, "blobs"), config.Blobs.URL != ""
	if elsewhere {
		where = withoutPassword(config.Blobs.URL)
	}
	part := func(kind, name, of string, amount collect.Amount, freed string) Part {
		return Part{Kind: kind, Name: name, Of: of, Bytes: amount.Bytes, Count: amount.Count,
			Where: where, Elsewhere: elsewhere, Freed: freed}
	}
	parts := []Part{part("content", "Content of registries", "", u.Blobs.Plus(u.Garbage), "")}
	for _, r := range u.Registries {
		parts = append(parts, part("registry", r.Registry, "content", collect.Amount{Bytes: r.Bytes},
			"az acr purge --registry "+r.Registry+" --filter '.*:.*' --ago 30d --untagged --dry-run"))
	}
	return append(parts,
		part("restorable", "deleted, can be restored", "content", u.Restorable,
			"goes when the days of the registry's soft delete are over"),
		part("unneeded", "needed by no image", "content", u.Unneeded.Plus(u.Garbage), "acrux registry gc --data "+config.Data),
		part("pushes", "Pushes under way", "", u.Uploads, "goes when they end, or after a day in which nothing comes"))
}

// folderParts are what else there is in the data directory.
func folderParts(ctx context.Context, config Config) ([]Part, error) {
	clear := func(folder string) string {
		return "acrux stop --data " + config.Data + " && rm -r " + filepath.Join(config.Data, folder)
	}
	parts := []struct {
		kind, name, freed string
		names             []string
	}{
		{"sources", "Source code uploaded for runs", "goes two days after it was uploaded", []string{"uploads"}},
		{"images", "Layers of images and builds", clear("engine"), []string{"engine/images"}},
		{"cache", "Records and mounts of the build cache", clear("engine"), []string{"engine/build"}},
		{"runs", "Runs under way", "goes with the end of the runs", []string{"engine", "docker", "agent"}},
		{"logs", "Logs of runs", fmt.Sprintf("goes after runs.keep (%s) in acrux.yaml", config.Runs.Keep), []string{"runlogs"}},
		{"database", "Database", "", []string{"acrux.db", "acrux.db-wal", "acrux.db-shm"}},
		{"reserve", "Reserve for a full disk", "disk.reserve in acrux.yaml", []string{"ballast"}},
		{"other", "Keys, certificates, settings", "", nil},
	}
	var all []Part
	counted := []string{"blobs"} // by their rows
	for _, p := range parts {
		counted = append(counted, p.names...)
	}
	rest, err := others(config.Data, counted)
	if err != nil {
		return nil, err
	}
	parts[len(parts)-1].names = rest
	for _, p := range parts {
		part := Part{Kind: p.kind, Name: p.name, Freed: p.freed, Where: config.Data}
		if len(p.names) == 1 {
			part.Where = filepath.Join(config.Data, p.names[0])
		}
		for _, name := range p.names {
			tree, err := measure(ctx, config.Data, name)
			if err != nil {
				return nil, err
			}
			part.Bytes, part.Count, part.Unread = part.Bytes+tree.Bytes, part.Count+tree.Files, part.Unread+tree.Unread
		}
		if part.Count+part.Unread > 0 {
			all = append(all, part)
		}
	}
	return all, nil
}

// measure measures what has a name in the data directory. The engine's folder is told in parts:
// of itself it has what is in none of them.
func measure(ctx context.Context, data, name string) (t disk.Tree, err error) {
	names := []string{name}
	if name == "engine" {
		names, err = others(filepath.Join(data, name), []string{"images", "build"})
		for i := range names {
			names[i] = filepath.Join(name, names[i])
		}
	}
	for _, name := range names {
		one, failed := disk.Measure(ctx, filepath.Join(data, name))
		t.Files, t.Bytes, t.Unread = t.Files+one.Files, t.Bytes+one.Bytes, t.Unread+one.Unread
		err = errors.Join(err, failed)
	}
	return t, err
}

// others are what there is in a folder besides some names. A folder that is not there has nothing.
func others(folder string, known []string) (names []string, err error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil, nil
	}
	for _, entry := range entries {
		if !slices.ContainsFunc(known, func(name string) bool { return strings.HasPrefix(name+"/", entry.Name()+"/") }) {
			names = append(names, entry.Name())
		}
	}
	return names, err
}

// withoutPassword is a URL that may be shown.
func withoutPassword(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "a URL that cannot be read"
	}
	u.RawQuery = ""
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	return u.String()
}
