// Package script_test runs whole scripts against whole servers: each file in testdata
// gets a server on an empty directory with the embedded engine, an upstream registry
// and a git server, all on loopback, and the commands acrux and az.
package script_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/acrux/acrux/internal/cli"
	"github.com/acrux/acrux/test/fixture"
)

func TestMain(m *testing.M) {
	run := func() { os.Exit(cli.Main(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
	testscript.Main(m, map[string]func(){"acrux": run, "az": run})
}

func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("whole servers take longer than a short test may")
	}
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("the embedded engine needs root")
		}
		t.Skip("the embedded engine needs root")
	}
	testscript.Run(t, testscript.Params{Dir: "testdata", Setup: setup, RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"capture": capture, "match": match, "envsubst": substitute,
			"meet": meet, "unseen": unseen, "request": request, "absent": absent}})
}

// setup starts what a script needs.
func setup(env *testscript.Env) error {
	upstream := httptest.NewServer(fixture.Upstream())
	env.Defer(upstream.Close)
	image, err := fixture.BusyboxImage()
	if err != nil {
		return err
	}
	host := strings.TrimPrefix(upstream.URL, "http://")
	if err := fixture.Push(host, "library/node:15-alpine", image); err != nil {
		return err
	}
	git, err := serveGit(env)
	if err != nil {
		return err
	}
	config := fmt.Sprintf("loginServerAliases: [azurecr.io]\nregistryMirrors: {docker.io: %q}\nagent: {stepNetwork: none}\n", upstream.URL)
	env.Setenv("GIT", git)
	env.Setenv("UPSTREAM", host)
	env.Setenv("UPSTREAM_PORT", host[strings.LastIndex(host, ":")+1:])
	env.Setenv("ACRUX_CONFIG_DIR", filepath.Join(env.WorkDir, "client"))
	return startServer(env, config)
}

func serveGit(env *testscript.Env) (string, error) {
	dir := filepath.Join(env.WorkDir, ".repositories")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if _, err := fixture.GitRepository("../../examples/hello-world", filepath.Join(dir, "hello-world.git")); err != nil {
		return "", err
	}
	handler, err := fixture.Git(dir)
	if err != nil {
		return "", err
	}
	server := httptest.NewServer(handler)
	env.Defer(server.Close)
	return server.URL + "/hello-world.git", nil
}

// startServer gives the script a server, and what acrux env prints.
func startServer(env *testscript.Env, config string) error {
	program, err := lookPath(env, "acrux")
	if err != nil {
		return err
	}
	server, err := fixture.StartServer(program, filepath.Join(env.WorkDir, ".data"), config, env.Vars)
	if err != nil {
		return err
	}
	env.Defer(func() {
		if err := server.Stop(); err != nil {
			env.T().Fatal(err)
		}
	})
	env.Vars = append(env.Vars, server.Exports()...)
	env.Setenv("DATA", server.Data)
	_, port, err := net.SplitHostPort(server.Published.Address)
	env.Setenv("SERVER_PORT", port)
	return err
}

// lookPath finds a program on the script's PATH.
func lookPath(env *testscript.Env, name string) (string, error) {
	for _, dir := range filepath.SplitList(env.Getenv("PATH")) {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s is not on the PATH", name)
}

// capture sets a variable to the standard output of the command before:
// capture NAME.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: capture NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// substitute replaces ${NAME} in files, and $$ by $: envsubst FILE...
func substitute(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: envsubst FILE...")
	}
	for _, file := range args {
		text := os.Expand(ts.ReadFile(file), func(name string) string {
			if name == "$" {
				return "$"
			}
			return ts.Getenv(name)
		})
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o644))
	}
}

// match compares a file or stdout with lines in which … stands for any text; the
// lines must follow each other, but others may stand between them: match FILE WANT.
func match(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: match FILE WANT")
	}
	have := strings.Split(ts.ReadFile(args[0]), "\n")
	for want := range strings.SplitSeq(strings.TrimSuffix(ts.ReadFile(args[1]), "\n"), "\n") {
		if want == "[...]" {
			continue
		}
		i := 0
		for i < len(have) && !fits(have[i], want) {
			i++
		}
		if i == len(have) {
			ts.Fatalf("no line follows that fits\n%s\nin\n%s", want, ts.ReadFile(args[0]))
		}
		have = have[i+1:]
	}
}

// fits reports whether line is want, where … stands for any text.
func fits(line, want string) bool {
	parts := strings.Split(want, "…")
	if len(parts) == 1 {
		return line == want
	}
	if !strings.HasPrefix(line, parts[0]) {
		return false
	}
	line = line[len(parts[0]):]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(line, part)
		if i < 0 {
			return false
		}
		line = line[i+len(part):]
	}
	return strings.HasSuffix(line, parts[len(parts)-1])
}

// meet lets runs wait for each other and for the script. Each makes a file of its own
// in its workspace and waits for the same name with ".go"; the script gets a copy of
// the file: meet FILE...
func meet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: meet FILE...")
	}
	deadline := time.Now().Add(time.Minute)
	var found []string
	for _, name := range args {
		pattern := filepath.Join(ts.Getenv("DATA"), "agent", "runs", "*", "workspace", name)
		files, _ := filepath.Glob(pattern) // the pattern is good
		for ; len(files) == 0; files, _ = filepath.Glob(pattern) {
			if time.Now().After(deadline) {
				ts.Fatalf("no run makes the file %s", name)
			}
			time.Sleep(10 * time.Millisecond)
		}
		content, err := os.ReadFile(files[0])
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(name), bytes.TrimSpace(content), 0o600))
		found = append(found, files...)
	}
	for _, file := range found {
		ts.Check(os.WriteFile(file+".go", nil, 0o644))
	}
}

// request asks the server with the token in a file and writes "STATUS BODY" to the file
// answer: request TOKENFILE METHOD URL.
func request(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: request TOKENFILE METHOD URL")
	}
	authority, err := os.ReadFile(ts.Getenv("CA_BUNDLE"))
	ts.Check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", ts.Getenv("ACRUX_ADDRESS"))
		},
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest(args[1], args[2], strings.NewReader("{}"))
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+ts.ReadFile(args[0]))
	req.Header.Set("Content-Type", "application/json")
	res, err := transport.RoundTrip(req)
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("answer"), fmt.Appendf(nil, "%d %s", res.StatusCode, bytes.ReplaceAll(body, []byte("\n"), nil)), 0o600))
}

// unseen waits until texts stand in no file of the data directory; @FILE is what a file
// contains: unseen TEXT...
func unseen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: unseen TEXT...")
	}
	for i, text := range args {
		if name, ok := strings.CutPrefix(text, "@"); ok {
			args[i] = strings.TrimSpace(ts.ReadFile(name))
		}
	}
	deadline := time.Now().Add(20 * time.Second) // the engine tidies up after a while
	for file := holder(ts, args); file != ""; file = holder(ts, args) {
		if time.Now().After(deadline) {
			ts.Fatalf("a secret lies in %s", file)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// holder finds a file of the data directory that contains one of the texts.
func holder(ts *testscript.TestScript, texts []string) (found string) {
	err := filepath.WalkDir(ts.Getenv("DATA"), func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() || strings.HasSuffix(path, ".ns") { // a namespace, no file
			return err
		}
		content, err := os.ReadFile(path)
		for _, text := range texts {
			if len(text) < 8 {
				ts.Fatalf("%q is too short to mean something", text)
			}
			if bytes.Contains(content, []byte(text)) {
				found = path
				return fs.SkipAll
			}
		}
		if os.IsNotExist(err) {
			return nil
		}
		return err
	})
	ts.Check(err)
	return found
}

// absent waits until no file of the data directory fits a pattern: absent PATTERN...
func absent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: absent PATTERN...")
	}
	deadline := time.Now().Add(10 * time.Second) // the engine cleans up beside the next run
	for _, pattern := range args {
		for {
			files, err := filepath.Glob(filepath.Join(ts.Getenv("DATA"), pattern))
			ts.Check(err)
			if len(files) == 0 {
				break
			}
			if time.Now().After(deadline) {
				ts.Fatalf("left behind: %q", files)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}
