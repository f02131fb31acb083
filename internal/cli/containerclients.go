package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
)

// containerClients sees a registry as docker, podman and skopeo of this machine do: by its
// name, and by authorities that this system or a folder of theirs names. Our own commands
// need neither.
type containerClients struct {
	programs []string // docker, podman; those that are installed
	lookup   func(ctx context.Context, host string) ([]string, error)
	certs    map[string][]string // folders of certificates by program
	hint     string              // the command that prepares this machine
}

// dockerCerts is where docker looks for authorities of registries, podman and skopeo too.
const dockerCerts = "/etc/docker/certs.d"

func (c *call) containerClients(registry string) containerClients {
	all := containerClients{lookup: net.DefaultResolver.LookupHost, certs: map[string][]string{"docker": {dockerCerts},
		"podman": {"/etc/containers/certs.d", dockerCerts}}, hint: "acrux env --docker --install-hosts --registry " + registry}
	if home, err := os.UserHomeDir(); err == nil {
		all.certs["podman"] = append(all.certs["podman"], filepath.Join(home, ".config", "containers", "certs.d"))
	}
	if data, ok := strings.CutSuffix(c.client.CABundle, "/tls/ca.crt"); ok { // as acrux env names it
		all.hint += " --data " + data
	}
	for _, program := range []string{"docker", "podman"} {
		if _, err := exec.LookPath(program); err == nil {
			all.programs = append(all.programs, program)
		}
	}
	return all
}

// check looks a login server, HOST or HOST:PORT, up and greets it, as each of the programs
// does. What cannot be mended here ends it as well.
func (k containerClients) check(ctx context.Context, server string) error {
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		host, port = server, "443"
	}
	addresses, err := k.lookup(ctx, host)
	if err != nil || len(addresses) == 0 {
		return problem.New(problem.NotFound, "NameUnknown", "%s: this system does not know the name %s", strings.Join(k.programs, " and "), host).
			Hint("%s", k.hint).Because(err)
	}
	for _, program := range k.programs {
		if program == "docker" && net.ParseIP(addresses[0]).IsLoopback() {
			continue // it does not verify what is on its own machine
		}
		if err := k.greet(ctx, program, host, port, addresses[0]); err != nil {
			return err
		}
	}
	return nil
}

// greet shakes hands with a server with the authorities of a program.
func (k containerClients) greet(ctx context.Context, program, host, port, address string) error {
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second},
		Config: &tls.Config{ServerName: host, RootCAs: k.roots(program, host, port), MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(address, port))
	if err == nil {
		return conn.Close()
	}
	if errors.As(err, new(*tls.CertificateVerificationError)) {
		return problem.New(problem.Denied, "AuthorityUnknown", "%s does not trust the certificate of %s", program, host).
			Hint("%s", k.hint).Because(err)
	}
	return problem.New(problem.Unavailable, "RegistryUnreachable", "%s is %s for %s, and nothing that speaks TLS answers there at port %s",
		host, address, program, port).Hint("%s", k.hint).Because(err)
}

// roots are the authorities that a program trusts at a registry: the system's, and those in
// the files of the registry's folder.
func (k containerClients) roots(program, host, port string) *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a system without any
	}
	name := host
	if port != "443" {
		name += ":" + port
	}
	for _, dir := range k.certs[program] {
		files, _ := filepath.Glob(filepath.Join(dir, name, "*.crt")) // the pattern is right
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil {
				pool.AppendCertsFromPEM(text)
			}
		}
	}
	return pool
}

// maxSkew is how far clocks may differ: tokens and certificates count from a moment on.
const maxSkew = 5 * time.Minute

// checkClock compares this machine's clock with what a server's answer says.
func checkClock(date string, now time.Time) (string, error) {
	there, err := time.Parse(time.RFC1123, date)
	if err != nil {
		return "the server does not say what time it is", nil
	}
	if skew := now.Sub(there).Round(time.Second); skew.Abs() > maxSkew {
		return "", problem.New(problem.Conflict, "ClockSkew", "this machine's clock is %v from the server's, which says %s", skew, date).
			Hint("timedatectl set-ntp true, on the one that is wrong")
	}
	return "OK", nil
}

// look is the step of a check of health.
func (k containerClients) look(server string) func(ctx context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		if len(k.programs) == 0 {
			return "neither docker nor podman is installed", nil
		}
		return fmt.Sprintf("OK (%s)", strings.Join(k.programs, ", ")), k.check(ctx, server)
	}
}
