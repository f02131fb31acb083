package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/secret"
)

// repository makes a bare repository with two branches, a tag and a folder, and
// returns the directory above it and its commits by branch.
func repository(t *testing.T) (dir string, commits map[string]string) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("git contexts need the git program")
		}
		t.Skip("git contexts need the git program")
	}
	dir = t.TempDir()
	work := filepath.Join(dir, "work")
	commits = map[string]string{}
	git := func(args ...string) string {
		command := exec.Command("git", append([]string{"-C", work, "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"}, args...)...)
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1"}
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(work, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("Dockerfile", "FROM scratch\n")
	write("app/Dockerfile", "FROM alpine\n")
	if err := os.Symlink("/etc", filepath.Join(work, "out")); err != nil {
		t.Fatal(err)
	}
	git("init", "-q", "-b", "main")
	git("add", ".")
	git("commit", "-q", "-m", "first")
	commits["first"] = git("rev-parse", "HEAD")
	git("tag", "v1")
	write("second", "2")
	git("add", ".")
	git("commit", "-q", "-m", "second")
	commits["main"] = git("rev-parse", "HEAD")
	git("update-ref", "refs/pull/7/head", commits["first"])
	git("checkout", "-q", "-b", "other", commits["first"])
	git("checkout", "-q", "main")
	git("clone", "-q", "--mirror", work, filepath.Join(dir, "web.git"))
	git("-C", filepath.Join(dir, "web.git"), "update-server-info")
	git("-C", filepath.Join(dir, "web.git"), "config", "http.uploadpack", "true")
	return dir, commits
}

// smart serves repositories as git's own server program does.
func smart(t *testing.T, dir string) http.Handler {
	path, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	return &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"},
	}
}

func fetcher() *Fetcher {
	dialer := &egress.Dialer{Policy: egress.Policy{Loopback: true}}
	return &Fetcher{Transport: dialer.Transport(), Registries: registryclient.New(dialer, "acrux")}
}

func TestGit(t *testing.T) {
	dir, commits := repository(t)
	servers := map[string]http.Handler{"smart": smart(t, dir), "static files": http.FileServer(http.Dir(dir))}
	tests := []struct{ name, fragment, commit, branch, folder string }{
		{"default branch", "", "main", "main", ""},
		{"branch", "#other", "first", "other", ""},
		{"tag", "#v1", "first", "HEAD", ""},
		{"pull request", "#pull/7/head", "first", "HEAD", ""},
		{"folder", "#main:app", "main", "main", "app"},
		{"folder of the default branch", "#:app", "main", "main", "app"},
		{"commit", "#COMMIT", "first", "HEAD", ""},
	}
	for kind, handler := range servers {
		server := httptest.NewServer(handler)
		defer server.Close()
		for _, tt := range tests {
			t.Run(kind+"/"+tt.name, func(t *testing.T) {
				fragment := strings.Replace(tt.fragment, "COMMIT", commits["first"], 1)
				target := filepath.Join(t.TempDir(), "source")
				got, err := fetcher().Fetch(t.Context(), Request{Context: server.URL + "/web.git" + fragment, Dir: target})
				if err != nil {
					t.Fatal(err)
				}
				if got.Commit != commits[tt.commit] || got.Dir != filepath.Join(target, tt.folder) {
					t.Errorf("got %+v, want commit %s", got, commits[tt.commit])
				}
				// Static files do not say which branch is the default one.
				if got.Branch != tt.branch && !(kind == "static files" && strings.HasPrefix(tt.name, "default") || strings.HasPrefix(tt.fragment, "#:")) {
					t.Errorf("branch %q, want %q", got.Branch, tt.branch)
				}
				if _, err := os.Stat(filepath.Join(got.Dir, "Dockerfile")); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestGitFailures(t *testing.T) {
	dir, _ := repository(t)
	server := httptest.NewServer(smart(t, dir))
	defer server.Close()
	locked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer locked.Close()
	tests := []struct{ name, context, want string }{
		{"branch", server.URL + "/web.git#nope", "error checking out nope:"},
		{"commit", server.URL + "/web.git#0123456789012345678901234567890123456789", "error checking out 0123"},
		{"folder", server.URL + "/web.git#main:nope", `the folder "nope" does not exist`},
		{"folder outside", server.URL + "/web.git#main:out", `"out" is not a folder`},
		{"no folder", server.URL + "/web.git#main:Dockerfile", `"Dockerfile" is not a folder`},
		{"option", server.URL + "/web.git#--upload-pack=x", "not a valid name"},
		{"repository", server.URL + "/gone.git", "404 Not Found"},
		{"credential", locked.URL + "/web.git", "needs a credential"},
		{"host", "http://127.0.0.1:1/web.git", "127.0.0.1:1 cannot be reached"},
		{"address", "http://169.254.169.254/web.git", "not allowed"},
		{"scheme", "git://127.0.0.1/web.git", `contexts over "git" are not supported`},
		{"artifact", "oci://127.0.0.1:1/web:1", "failed to pull oci://127.0.0.1:1/web:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := fetcher().Fetch(t.Context(), Request{Context: tt.context, Dir: filepath.Join(t.TempDir(), "source")})
			var failure engine.Failure
			if !errors.As(err, &failure) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a failure with %q", err, tt.want)
			}
		})
	}
}

func TestGitCredential(t *testing.T) {
	dir, _ := repository(t)
	backend := smart(t, dir)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "t0ken" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	defer server.Close()
	url := server.URL + "/web.git"
	for name, request := range map[string]Request{
		"of the context": {Context: url, Token: secret.New("t0ken")},
		"in the URL":     {Context: strings.Replace(url, "http://", "http://t0ken@", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			request.Dir = filepath.Join(t.TempDir(), "source")
			if _, err := fetcher().Fetch(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			config, err := os.ReadFile(filepath.Join(request.Dir, ".git", "config"))
			if err != nil || strings.Contains(string(config), "t0ken") {
				t.Errorf("the token is in the clone: %s, %v", config, err)
			}
		})
	}
	_, err := fetcher().Fetch(t.Context(), Request{Context: strings.Replace(url, "http://", "http://wr0ng@", 1), Dir: filepath.Join(t.TempDir(), "source")})
	if err == nil || strings.Contains(err.Error(), "wr0ng") || !strings.Contains(err.Error(), "<REDACTED>@") {
		t.Errorf("got %v", err)
	}
}

func TestGitGoesThroughTheGuard(t *testing.T) {
	dir, _ := repository(t)
	server := httptest.NewServer(smart(t, dir))
	defer server.Close()
	guarded := &Fetcher{Transport: (&egress.Dialer{Policy: egress.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}).Transport()}
	_, err := guarded.Fetch(t.Context(), Request{Context: server.URL + "/web.git", Dir: filepath.Join(t.TempDir(), "source")})
	if err == nil || !strings.Contains(err.Error(), "not allowed") {
		t.Errorf("got %v", err)
	}
}

// A repository does not lead to where only whoever named it might go: neither by a
// submodule nor by a redirection to another host.
func TestWhatARepositoryLeadsTo(t *testing.T) {
	dir, _ := repository(t)
	var asked atomic.Int32
	inner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		smart(t, dir).ServeHTTP(w, r)
	}))
	defer inner.Close()
	away := httptest.NewServer(http.RedirectHandler(inner.URL+"/web.git/info/refs?service=git-upload-pack", http.StatusFound))
	defer away.Close()
	withSubmodule := filepath.Join(t.TempDir(), "outer.git")
	for _, args := range [][]string{{"init", "-q", "-b", "main", withSubmodule}, {"-C", withSubmodule, "-c", "protocol.allow=always", "submodule", "add", "-q", inner.URL + "/web.git", "inner"},
		{"-C", withSubmodule, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", "first"}} {
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	outer := httptest.NewServer(smart(t, filepath.Dir(withSubmodule)))
	defer outer.Close()
	dialer := &egress.Dialer{Policy: egress.Policy{Loopback: true}}
	for name, target := range map[string]string{"submodule": outer.URL + "/outer.git", "redirection": away.URL + "/web.git"} {
		t.Run(name, func(t *testing.T) {
			fetch := func(f *Fetcher) error {
				asked.Store(0)
				_, err := f.Fetch(t.Context(), Request{Context: target, Dir: filepath.Join(t.TempDir(), "source")})
				return err
			}
			if err := fetch(&Fetcher{Transport: dialer.Transport()}); err != nil || asked.Load() == 0 {
				t.Fatalf("where content may go as well: %v after %d requests", err, asked.Load())
			}
			err := fetch(&Fetcher{Transport: dialer.Transport(), Content: dialer.ForContent().Transport()})
			if err == nil || !strings.Contains(err.Error(), "egress policy") || asked.Load() != 0 {
				t.Errorf("got %v after %d requests", err, asked.Load())
			}
		})
	}
}

func TestSizeLimit(t *testing.T) {
	dir, _ := repository(t)
	server := httptest.NewServer(smart(t, dir))
	defer server.Close()
	small := fetcher()
	small.MaxBytes = 100
	_, err := small.Fetch(t.Context(), Request{Context: server.URL + "/web.git", Dir: filepath.Join(t.TempDir(), "source")})
	if err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}

// tarball makes an archive of these entries.
func tarball(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, header := range headers {
		if header.Typeflag == tar.TypeReg {
			header.Size, header.Mode = 4, 0o644
		}
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte("text")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipped(t testing.TB, p []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestArchive(t *testing.T) {
	file := tar.Header{Name: "a/Dockerfile", Typeflag: tar.TypeReg}
	tests := []struct {
		name string
		body []byte
		want string // failure, or a file that must be there
	}{
		{"plain", tarball(t, file), "a/Dockerfile"},
		{"gzip", zipped(t, tarball(t, file)), "a/Dockerfile"},
		{"twice", tarball(t, file, file), "a/Dockerfile"},
		{"no archive", []byte("hello"), ""},
		{"parent", tarball(t, tar.Header{Name: "../x", Typeflag: tar.TypeReg}), "failure: outside of itself"},
		{"absolute", tarball(t, tar.Header{Name: "/x", Typeflag: tar.TypeReg}), "failure: outside of itself"},
		{"through a link", tarball(t, tar.Header{Name: "l", Linkname: "..", Typeflag: tar.TypeSymlink}, tar.Header{Name: "l/x", Typeflag: tar.TypeReg}), "failure: cannot be unpacked"},
		{"link to a file outside", tarball(t, tar.Header{Name: "l", Linkname: "../secret", Typeflag: tar.TypeLink}), "failure: cannot be unpacked"},
		{"xz", []byte("\xfd7zXZ\x00......"), "failure: xz"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(tt.body) }))
			defer server.Close()
			dir := filepath.Join(t.TempDir(), "source")
			_, err := fetcher().Fetch(t.Context(), Request{Context: server.URL + "/x.tar.gz", Dir: dir})
			if want, isFailure := strings.CutPrefix(tt.want, "failure: "); isFailure {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(dir, tt.want)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestArchiveTries(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1); strings.HasSuffix(r.URL.Path, "gone") {
			http.Error(w, "no such file", http.StatusNotFound)
			return
		}
		http.Error(w, "later", http.StatusServiceUnavailable)
	}))
	defer server.Close()
	for path, want := range map[string]int32{"/gone": 1, "/busy": 3} {
		calls.Store(0)
		_, err := fetcher().Fetch(t.Context(), Request{Context: server.URL + path, Dir: filepath.Join(t.TempDir(), "source")})
		if err == nil || !strings.Contains(err.Error(), "failed to GET "+server.URL+path+" with status") || calls.Load() != want {
			t.Errorf("%s: %d calls, %v", path, calls.Load(), err)
		}
	}
}

// A signature in the query of a URL is a credential, and not shown.
func TestArchiveQuery(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	_, err := fetcher().Fetch(t.Context(),
		Request{Context: server.URL + "/x.tar.gz?sig=s1gned", Dir: filepath.Join(t.TempDir(), "source")})
	if err == nil || strings.Contains(err.Error(), "s1gned") || !strings.Contains(err.Error(), "/x.tar.gz?<REDACTED>") {
		t.Errorf("got %v", err)
	}
}
