package daemon_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/daemon"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

// Where the server listens decides how clients find it.
func TestListen(t *testing.T) {
	tests := []struct{ name, listen, want string }{
		{"loopback", "127.0.0.1:0", "127.0.0.1"},
		{"everywhere", "0.0.0.0:0", "127.0.0.1"},
		{"everywhere, six", "[::]:0", "127.0.0.1"},
		{"no host", ":0", "127.0.0.1"},
		{"loopback, six", "[::1]:0", "::1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if l, err := net.Listen("tcp", tt.listen); err != nil {
				t.Skip("this machine cannot listen there:", err)
			} else {
				must(t, l.Close())
			}
			data := t.TempDir()
			p, _ := start(t, daemon.Config{Data: data, Listen: tt.listen, Executor: &enginetest.Fake{}})
			if host, port, err := net.SplitHostPort(p.Address); err != nil || host != tt.want || port != p.Port {
				t.Errorf("it says %s and port %s", p.Address, p.Port)
			}
			do(t, signIn(t, data, p), "GET", "/subscriptions", nil)
		})
	}
}

// A restart under another domain, if it is meant, keeps what is there, under new names, and
// the authority, with one more certificate.
func TestOtherDomain(t *testing.T) {
	data := t.TempDir()
	config := daemon.Config{Data: data, Executor: &enginetest.Fake{}}
	first, stop := start(t, config)
	ids := registries(t, signIn(t, data, first), "myregistry")
	before, err := os.ReadFile(first.CABundle)
	must(t, err)
	stop()
	config.Domain = "other.test"
	if said := refused(t, config); !strings.Contains(said, "was made with the domain acrux.localhost") {
		t.Errorf("without a word about it: %s", said)
	}
	config.ChangeDomain = true
	second, _ := start(t, config)
	after, err := os.ReadFile(second.CABundle)
	must(t, err)
	if !bytes.HasSuffix(after, before) || len(after) == len(before) || second.TenantID != first.TenantID || second.SubscriptionID != first.SubscriptionID {
		t.Errorf("after the restart: %+v", second)
	}
	doc := do(t, signIn(t, data, second), "GET", ids[0], nil)
	if got := doc["properties"].(object)["loginServer"]; got != "myregistry.azurecr.other.test:"+second.Port {
		t.Errorf("the login server is %v", got)
	}
}

// refused starts a server that must not start, and returns why.
func refused(t *testing.T, config daemon.Config) string {
	t.Helper()
	config.Executor = &enginetest.Fake{}
	if config.Listen == "" {
		config.Listen = "127.0.0.1:0"
	}
	server, err := daemon.New(context.Background(), kept(t, config), slog.New(slog.DiscardHandler))
	if err == nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		must(t, server.Run(ctx, func(daemon.Published) {}))
		t.Fatal("it started")
	}
	return err.Error()
}

// What is damaged in the data directory is named, and nothing is locked afterwards.
func TestDamage(t *testing.T) {
	tests := []struct{ name, file, content, want string }{
		{"the administrator", "keys/admin.json", "{", "admin.json is damaged"},
		{"the administrator, empty", "keys/admin.json", "{}", "admin.json is damaged"},
		{"the master key, short", "keys/master.key", "short", "master.key"},
		{"the master key, another", "keys/master.key", strings.Repeat("x", 32), "master.key"},
		{"the authority", "tls/ca.crt", "nothing", "remove both"},
		{"its key", "tls/ca.key", "nothing", "remove both"},
		{"the database", "acrux.db", "this is no database, whatever it is called", "acrux.db"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.file == "acrux.db" && sqlstoretest.Postgres() {
				t.Skip("the database is no file")
			}
			data := t.TempDir()
			config := daemon.Config{Data: data, Executor: &enginetest.Fake{}}
			_, stop := start(t, config)
			stop()
			file := filepath.Join(data, tt.file)
			good, err := os.ReadFile(file)
			must(t, err)
			must(t, os.WriteFile(file, []byte(tt.content), 0o600))
			for range 2 { // the second shows that the first let go of everything
				if got := refused(t, config); !strings.Contains(got, tt.want) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			}
			must(t, os.WriteFile(file, good, 0o600))
			start(t, config)
		})
	}
}

// A lost master key is told, and not replaced by one that opens nothing.
func TestLostMasterKey(t *testing.T) {
	data := t.TempDir()
	_, stop := start(t, daemon.Config{Data: data, Executor: &enginetest.Fake{}})
	stop()
	key := filepath.Join(data, "keys", "master.key")
	good, err := os.ReadFile(key)
	must(t, err)
	must(t, os.Remove(key))
	if got := refused(t, daemon.Config{Data: data}); !strings.Contains(got, "master.key") {
		t.Errorf("got %q", got)
	}
	if _, err := os.Stat(key); err == nil {
		t.Error("there is a new key")
	}
	must(t, os.WriteFile(key, good, 0o600))
	start(t, daemon.Config{Data: data, Executor: &enginetest.Fake{}})
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	if got := refused(t, daemon.Config{Data: t.TempDir(), Listen: l.Addr().String()}); !strings.Contains(got, "listening") {
		t.Errorf("got %q", got)
	}
}

// In a directory that was there before and is open to all, others still read nothing
// but what is public.
func TestOpenDirectory(t *testing.T) {
	data := t.TempDir()
	must(t, os.Chmod(data, 0o755))
	p, _ := start(t, daemon.Config{Data: data, Executor: &enginetest.Fake{}})
	registries(t, signIn(t, data, p), "myregistry")
	must(t, filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == data {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 && filepath.Base(path) != "ca.crt" {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		if entry.IsDir() {
			return fs.SkipDir // closed, whatever is inside
		}
		return nil
	}))
}

// A name server answers while the server is up, and its port is free again afterwards.
func TestNames(t *testing.T) {
	// An address of this process alone, below the ports that the kernel gives to others: one that
	// was given and closed may be another test's by the time that the server wants it.
	address := fmt.Sprintf("127.53.%d.%d:10053", os.Getpid()>>8&0xff, os.Getpid()&0xff)
	taken, err := net.ListenPacket("udp", address)
	must(t, err)
	if said := refused(t, daemon.Config{Data: t.TempDir(), DNS: address}); !strings.Contains(said, "name server") {
		t.Errorf("a port that is taken: %s", said)
	}
	must(t, taken.Close())
	p, stop := start(t, daemon.Config{Data: t.TempDir(), DNS: address})
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	found, err := resolver.LookupNetIP(t.Context(), "ip4", "management."+p.Domain+".")
	if err != nil || len(found) != 1 || found[0].String() != "127.0.0.1" {
		t.Errorf("it has the addresses %v, %v", found, err)
	}
	stop()
	again, err := net.ListenPacket("udp", address)
	must(t, err)
	must(t, again.Close())
}
