// Package script_test runs whole scripts against whole servers: each file in testdata
// gets a server on an empty directory with the embedded engine, an upstream registry
// and a git server, all on loopback, and the commands acrux and az.
package script_test

import (
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/acrux/acrux/internal/cli"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/test/fixture"
)

func TestMain(m *testing.M) {
	run := func() { os.Exit(cli.Main(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
	testscript.Main(m, map[string]func(){"acrux": run, "az": run, "acr": run})
}

func TestScripts(t *testing.T) {
	enginetest.WholeServers(t)
	testscript.Run(t, testscript.Params{Dir: "testdata", Setup: setup, RequireExplicitExec: true,
		Cmds: fixture.ScriptCommands()})
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
	config := fixture.Aliases("myResourceGroup", "mybaseregistry", "baseregistry", "otherregistry") + fmt.Sprintf("registryMirrors: {docker.io: %q}\nagent: {stepNetwork: none}\ntriggers: {baseImagePoll: 1s}\n", upstream.URL)
	env.Setenv("GIT", git)
	env.Setenv("UPSTREAM", host)
	env.Setenv("MACHINE", machine())
	env.Setenv("UPSTREAM_PORT", host[strings.LastIndex(host, ":")+1:])
	env.Setenv("ACRUX_CONFIG_DIR", filepath.Join(env.WorkDir, "client"))
	env.Defer(func() { endDetached(filepath.Join(env.WorkDir, "d")) })
	return startServer(env, config)
}

// endDetached ends a server in the background that a script which failed has left.
func endDetached(data string) {
	text, err := os.ReadFile(filepath.Join(data, "serve.pid"))
	if err != nil {
		return // there is none
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 1 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// machine is an address of this machine that is none of loopback, if it has one.
func machine() string {
	all, _ := net.InterfaceAddrs()
	for _, one := range all {
		if prefix, ok := one.(*net.IPNet); ok && prefix.IP.To4() != nil && prefix.IP.IsGlobalUnicast() {
			return prefix.IP.String()
		}
	}
	return "127.0.0.2"
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
