package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/acrux/acrux/internal/registry/collect"
	"github.com/acrux/acrux/internal/secret"
)

func TestWithoutPassword(t *testing.T) {
	for in, want := range map[string]string{
		"postgres://ada:secret@db.example.org:5432/acrux?sslmode=require&password=secret": "postgres://ada@db.example.org:5432/acrux",
		"s3://bucket/prefix?endpoint=https://s3.example.org":                              "s3://bucket/prefix",
		"postgres://ada:se%zzcret@db":                                                     "a URL that cannot be read",
	} {
		if got := withoutPassword(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// What is in the data directory counts once, wherever it is.
func TestFolderParts(t *testing.T) {
	data := t.TempDir()
	for name, bytes := range map[string]int{"blobs/blobs/00/a": 1 << 20, "engine/images/a": 1, "engine/build/a": 2, "engine/lock": 4, "agent/runs/x": 8,
		"runlogs/r/a.log": 16, "uploads/a": 32, "acrux.db": 64, "acrux.db-wal": 128, "ballast": 256, "keys/master.key": 512, "whatever": 1024} {
		path := filepath.Join(data, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, bytes), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parts, err := folderParts(t.Context(), Config{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"images": 1, "cache": 2, "runs": 12, "logs": 16, "sources": 32, "database": 192, "reserve": 256, "other": 1536}
	for _, part := range parts {
		if part.Bytes != want[part.Kind] {
			t.Errorf("%s: %d bytes, want %d", part.Kind, part.Bytes, want[part.Kind])
		}
		delete(want, part.Kind)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

// What is elsewhere is said to be, without passwords.
func TestContentElsewhere(t *testing.T) {
	config := Config{Data: "/d", Blobs: BlobsConfig{URL: "s3://bucket/p?region=x"}, Database: secret.New("postgres://u:p@h/d")}
	for _, part := range contentParts(config, collect.Usage{Registries: []collect.RegistrySize{{Registry: "r", Bytes: 1}}}) {
		if !part.Elsewhere || part.Where != "s3://bucket/p" {
			t.Errorf("%s is at %s", part.Kind, part.Where)
		}
	}
}
