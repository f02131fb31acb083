package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who named a Dockerfile that is not there learns of some that are, and of nothing outside.
func TestOtherDockerfiles(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	put := func(name string) {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	said := func(workdir, wrong, want string) {
		t.Helper()
		if got := OtherDockerfiles(dir, workdir, wrong); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	put("README")
	said("", "Dockerfile", "")
	put("app/web/Dockerfile")
	put("app/Dockerfile-app")
	put("app/Dockerfile.dockerignore")
	put(".git/Dockerfile")
	if err := os.WriteFile(filepath.Join(outside, "Dockerfile"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	said("", "x", "; the source has app/Dockerfile-app, app/web/Dockerfile")
	said("", "web/Dockerfile", "; the source has app/web/Dockerfile, app/Dockerfile-app")
	said("app", "Dockerfile-ap", "; the source has Dockerfile-app, web/Dockerfile")
	said("other", "x", "; the source has /workspace/app/Dockerfile-app, /workspace/app/web/Dockerfile")
	for _, name := range []string{"1", "2", "3", "4"} {
		put(name + ".dockerfile")
	}
	if got := OtherDockerfiles(dir, "", "5.dockerfile"); strings.Count(got, ",") != maxNamed || !strings.HasSuffix(got, ", …") {
		t.Error(got)
	}
	if got := OtherDockerfiles(filepath.Join(dir, "nowhere"), "", "x"); got != "" {
		t.Error(got)
	}
}
