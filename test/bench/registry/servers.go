package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/acrux/acrux/test/fixture"
)

// acrux is a server of ours, with two registries.
type acrux struct {
	*fixture.Server
	program  string
	plain    string // address of the listener without TLS
	identity string // access token of the directory
	token    string // access token for one repository
	tls      bool
}

const registryName, otherName = "benchone", "benchtwo"

func (b *bench) startAcrux(program string) (*acrux, error) {
	data := filepath.Join(b.dir, fmt.Sprint("acrux", len(b.servers)))
	wrapper := data + "-pinned"
	script := fmt.Sprintf("#!/bin/sh\nGOMAXPROCS=1 exec taskset -c 0 %s \"$@\"\n", program)
	if err := os.WriteFile(wrapper, []byte(script), 0o700); err != nil {
		return nil, err
	}
	plain, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf("listenPlain: %s\nagent: {off: true}\n", plain)
	if b.database != "" {
		database, err := b.newDatabase()
		if err != nil {
			return nil, err
		}
		config += fmt.Sprintf("database: %q\n", database)
	}
	s, err := fixture.StartServer(wrapper, data, config, os.Environ())
	if err != nil {
		return nil, err
	}
	a := &acrux{Server: s, program: program, plain: plain}
	b.servers = append(b.servers, a)
	for _, line := range []string{"group create --name g --location eastus", "acr create --resource-group g --name " + registryName + " --sku Premium",
		"acr create --resource-group g --name " + otherName + " --sku Premium"} {
		if _, err := a.az(b.dir, strings.Fields(line)...); err != nil {
			return nil, err
		}
	}
	identity, err := a.az(b.dir, "account", "get-access-token", "--query", "accessToken", "--output", "tsv")
	if err != nil {
		return nil, err
	}
	a.identity = strings.TrimSpace(identity)
	return a.at("bench/load")
}

// at is the server with a token for a repository.
func (a *acrux) at(repository string) (*acrux, error) {
	other := *a
	var err error
	other.token, err = a.signIn(context.Background(), http.DefaultClient, repository)
	return &other, err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (a *acrux) az(dir string, args ...string) (string, error) {
	cmd := exec.Command(a.program, args...)
	cmd.Env = append(os.Environ(), append(a.Exports(), "ACRUX_CONFIG_DIR="+filepath.Join(dir, "client"))...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return string(out), err
}

// host is the login server.
func (a *acrux) host() string { return registryName + ".azurecr." + a.Published.Suffix() }

// signIn exchanges the identity for a refresh token, and that for an access token for a
// repository.
func (a *acrux) signIn(ctx context.Context, client *http.Client, repository string) (string, error) {
	var refresh struct {
		Token string `json:"refresh_token"`
	}
	err := a.post(ctx, client, "/oauth2/exchange", url.Values{"grant_type": {"access_token"}, "service": {a.host()}, "access_token": {a.identity}}, &refresh)
	if err != nil {
		return "", err
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh.Token}, "service": {a.host()}, "scope": {"repository:" + repository + ":pull,push,delete,metadata_read"}}
	var access struct {
		Token string `json:"access_token"`
	}
	return access.Token, a.post(ctx, client, "/oauth2/token", form, &access)
}

func (a *acrux) post(ctx context.Context, client *http.Client, path string, form url.Values, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+a.plain+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Host = a.host()
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(out)
}

func (a *acrux) overTLS() *acrux {
	over := *a
	over.tls = true
	return &over
}

func (a *acrux) target() []string {
	address := "http://" + a.plain
	if a.tls {
		address = "https://" + a.Published.Address
	}
	return []string{"-url", address, "-host", a.host(), "-token", a.token, "-insecure", "-label", "acrux"}
}

func (a *acrux) pid() int    { return a.PID() }
func (a *acrux) stop() error { return a.Stop() }

// distribution is the peer: with its cache of descriptors, without validation and log.
type distribution struct {
	cmd     *exec.Cmd
	address string
}

const distributionConfig = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %s}
  cache: {blobdescriptor: inmemory}
http: {addr: %s}
validation: {disabled: true}
`

func (b *bench) startPeer() (server, error) {
	install := exec.Command("go", "install", peer)
	install.Env = append(os.Environ(), "GOBIN="+b.dir, "GOFLAGS=-mod=mod")
	install.Dir = b.dir
	if out, err := install.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building %s: %w: %s", peer, err, out)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.dir, "distribution.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, distributionConfig, filepath.Join(b.dir, "distribution"), address), 0o600); err != nil {
		return nil, err
	}
	d := &distribution{cmd: exec.Command("taskset", "-c", "0", filepath.Join(b.dir, "registry"), "serve", file), address: address}
	d.cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "OTEL_TRACES_EXPORTER=none")
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	b.servers = append(b.servers, d)
	for range 100 {
		if res, err := http.Get("http://" + address + "/v2/"); err == nil {
			return d, res.Body.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, errors.New("the peer does not answer")
}

func (d *distribution) target() []string {
	return []string{"-url", "http://" + d.address, "-label", "distribution"}
}
func (d *distribution) pid() int { return d.cmd.Process.Pid }

func (d *distribution) stop() error {
	err := d.cmd.Process.Kill()
	_ = d.cmd.Wait() // says that it was killed
	return err
}
