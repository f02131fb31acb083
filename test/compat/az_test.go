package compat_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/acrux/acrux/test/fixture"
)

// The Azure CLI does its everyday work: one server, one sign-in, a script for each
// group of commands. The commands are children of one process.
func TestAzureCLI(t *testing.T) {
	t.Parallel()
	need(t, azProgram)
	runScripts(t, "testdata/az", "listen: 127.0.0.1:443")
}

// Clients of images, which sign in with what the Azure CLI gives them.
func TestImageClients(t *testing.T) {
	t.Parallel()
	need(t, azProgram, "/usr/bin/podman", "/usr/bin/skopeo")
	runScripts(t, "testdata/images", "")
}

// The README's recipe on a fresh machine: names in the hosts file, a server on a port of
// its own, commands that are processes of their own.
func TestRecipe(t *testing.T) {
	t.Parallel()
	need(t, azProgram)
	w := newWorld(t)
	s := w.serve(t, "domain: article.localhost\n"+fixture.Aliases("myResourceGroup", "mybaseregistry"))
	testscript.Run(t, testscript.Params{Dir: "testdata/recipe", RequireExplicitExec: true, Cmds: commands(), Setup: func(env *testscript.Env) error {
		w.describe(env, s)
		env.Vars = append(env.Vars, azEnviron()...)
		return newConfig(env)
	}})
}

func newConfig(env *testscript.Env) error {
	config := filepath.Join(env.WorkDir, ".azure")
	env.Setenv("AZURE_CONFIG_DIR", config)
	return emptyConfig(config)
}

// The scripts of the tutorial, both options, and of its refusals are those that Acrux's
// own client runs. Each has a server.
func TestTutorialWithAzureCLI(t *testing.T) {
	t.Parallel()
	need(t, azProgram)
	socket := startAz(t)
	testscript.Run(t, testscript.Params{Files: tutorials(), RequireExplicitExec: true, Cmds: commands(), Setup: func(env *testscript.Env) error {
		t := env.T().(testing.TB)
		w := newWorld(t)
		s := w.serve(t, fixture.Aliases("myResourceGroup", "mybaseregistry"))
		w.describe(env, s)
		env.Setenv(azSocket, socket)
		return useAz(env, s, signIn(t, s))
	}})
}

func tutorials() (files []string) {
	for _, name := range []string{"tutorial-user-assigned", "tutorial-system-assigned", "refusals"} {
		files = append(files, "../script/testdata/"+name+".txt")
	}
	return files
}

// runScripts runs the scripts of a folder against one server, signed in once.
func runScripts(t *testing.T, dir, config string) {
	w := newWorld(t)
	s := w.serve(t, config)
	t.Cleanup(func() { // before the server ends
		if file, err := fixture.FileWith(s.Data, "opensesame"); file != "" || err != nil {
			t.Errorf("a secret of the scripts lies in %s: %v", file, err)
		}
	})
	signedIn := signIn(t, s)
	socket := startAz(t)
	testscript.Run(t, testscript.Params{Dir: dir, RequireExplicitExec: true, Cmds: commands(), Setup: func(env *testscript.Env) error {
		w.describe(env, s)
		env.Setenv(azSocket, socket)
		return useAz(env, s, signedIn)
	}})
}

// commands are those of the scripts.
func commands() map[string]func(*testscript.TestScript, bool, []string) {
	all := fixture.ScriptCommands()
	all["eventually"], all["digest"] = eventually, digest
	return all
}

// eventually repeats a command until it succeeds, for a minute: eventually COMMAND...
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: eventually COMMAND...")
	}
	deadline := time.Now().Add(time.Minute)
	for err := ts.Exec(args[0], args[1:]...); err != nil; err = ts.Exec(args[0], args[1:]...) {
		if time.Now().After(deadline) {
			ts.Fatalf("%v", err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// digest compares the SHA-256 of a file: digest FILE sha256:HEX
func digest(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: digest FILE sha256:HEX")
	}
	if have := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(ts.ReadFile(args[0])))); have != args[1] {
		ts.Fatalf("%s has the digest %s, not %s", args[0], have, args[1])
	}
}

// describe tells a script what there is around the server.
func (w world) describe(env *testscript.Env, s *fixture.Server) {
	env.Vars = append(env.Vars, s.Exports()...)
	env.Setenv("DATA", s.Data)
	env.Setenv("GIT", w.web+"/hello-world.git")
	env.Setenv("FILES", w.web+"/files")
	env.Setenv("FILES_DIR", w.files)
	env.Setenv("UPSTREAM", strings.TrimPrefix(w.upstream, "http://"))
}

// useAz gives a script an Azure CLI that is signed in, with a folder of its own.
func useAz(env *testscript.Env, s *fixture.Server, signedIn string) error {
	env.Vars = append(env.Vars, azEnviron()...)
	// Not the bundle with the system's authorities: reading it takes 40 ms, for each request.
	env.Setenv("REQUESTS_CA_BUNDLE", s.Published.CABundle)
	env.Setenv("SSL_CERT_FILE", s.Published.CABundle)
	config := filepath.Join(env.WorkDir, ".azure")
	env.Setenv("AZURE_CONFIG_DIR", config)
	return os.CopyFS(config, os.DirFS(signedIn))
}

// signIn does what the README says, and returns the Azure CLI's folder.
func signIn(t testing.TB, s *fixture.Server) string { return stock.signIn(t, s) }

// signIn is signIn with one of several Azure CLIs.
func (c azClient) signIn(t testing.TB, s *fixture.Server) string {
	t.Helper()
	dir := t.TempDir()
	check(t, c.emptyConfig(dir))
	recipe := exec.Command("bash", "-ec", `eval "$(acrux env --data "$DATA" --az)"`)
	recipe.Env = append(append(os.Environ(), azEnviron()...), "DATA="+s.Data, "AZURE_CONFIG_DIR="+dir)
	recipe.Dir = dir
	if c.socket != "" {
		recipe.Env = append(recipe.Env, azSocket+"="+c.socket)
	}
	if out, err := recipe.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}
