//go:build linux

package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func authority(t *testing.T, names ...string) Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	var text []byte
	for _, name := range names {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		must(t, err)
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	a, err := New(text)
	must(t, err)
	return a
}

const (
	theirs  = "# a root\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	debian  = "etc/ssl/certs/ca-certificates.crt"
	company = "opt/company.pem"
)

// old is when all files of an image were made.
var old = time.Date(2020, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

// image makes a file system. A content that begins with "->" is a link, and a name that ends
// in a slash a directory.
func image(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		at := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(at), 0o755))
		target, link := strings.CutPrefix(content, "->")
		switch {
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(at, 0o755))
		case link:
			must(t, os.Symlink(target, at))
		default:
			must(t, os.WriteFile(at, []byte(content), 0o444))
		}
	}
	must(t, filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSymlink == 0 {
			err = os.Chtimes(at, old, old)
		}
		return err
	}))
	return root
}

// list is everything below root: what it has, its mode and time.
func list(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		entry := info.Mode().String()
		if d.Type()&fs.ModeSymlink == 0 {
			entry += " " + info.ModTime().UTC().String()
		}
		if d.Type().IsRegular() {
			content, err := os.ReadFile(at)
			if err != nil {
				return err
			}
			entry += " " + string(content)
		}
		all[strings.TrimPrefix(at, root)] = entry
		return nil
	}))
	return all
}

func has(t *testing.T, root, name string, a Authority) bool {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	return err == nil && strings.Contains(string(content), string(a.text))
}

// hashed counts files by OpenSSL's names in a directory.
func hashed(t *testing.T, root, dir string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "????????.?"))
	must(t, err)
	return len(files)
}

var images = map[string]struct {
	files          map[string]string
	bundles        []string
	single         string
	environ, wants []string
}{
	"Debian": {
		files:   map[string]string{debian: theirs, "etc/ssl/certs/x.pem": "->/usr/share/x.crt", "usr/lib/ssl/certs": "->/etc/ssl/certs"},
		bundles: []string{debian}, single: "etc/ssl/certs",
		wants: []string{"NODE_EXTRA_CA_CERTS=/etc/ssl/acrux.pem", "REQUESTS_CA_BUNDLE=/" + debian, "CURL_CA_BUNDLE=/" + debian},
	},
	"Fedora, links that begin at the root": {
		files: map[string]string{
			"etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem": theirs, "etc/pki/tls/certs/ca-bundle.crt": "->/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
			"etc/ssl/certs": "->../pki/tls/certs",
		},
		bundles: []string{"etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"}, single: "etc/pki/tls/certs",
		wants: []string{"NODE_EXTRA_CA_CERTS=/etc/ssl/acrux.pem", "REQUESTS_CA_BUNDLE=/etc/pki/tls/certs/ca-bundle.crt", "CURL_CA_BUNDLE=/etc/pki/tls/certs/ca-bundle.crt"},
	},
	"Alpine, no line feed at the end": {
		files:   map[string]string{debian: strings.TrimSpace(theirs), "etc/ssl/cert.pem": "->certs/ca-certificates.crt"},
		bundles: []string{debian}, single: "etc/ssl/certs",
		wants: []string{"NODE_EXTRA_CA_CERTS=/etc/ssl/acrux.pem", "REQUESTS_CA_BUNDLE=/" + debian, "CURL_CA_BUNDLE=/" + debian},
	},
	"a root of its own": {
		files:   map[string]string{debian: theirs, company: theirs},
		bundles: []string{debian, company}, single: "etc/ssl/certs",
		environ: []string{"SSL_CERT_FILE=/gone.pem", "SSL_CERT_FILE=/" + company, "NODE_EXTRA_CA_CERTS=/" + company, "REQUESTS_CA_BUNDLE=/" + company},
		wants:   []string{"CURL_CA_BUNDLE=/" + debian},
	},
	"nothing": {
		files: map[string]string{"bin/program": "x"}, single: "etc/ssl/certs",
		wants: []string{"NODE_EXTRA_CA_CERTS=/etc/ssl/acrux.pem"},
	},
	"what is no bundle": {
		files:  map[string]string{debian + "/": "", "etc/ssl/cert.pem": "binary", "etc/pki/tls/certs/ca-bundle.crt": "->ca-bundle.crt"},
		single: "etc/pki/tls/certs",
		wants:  []string{"NODE_EXTRA_CA_CERTS=/etc/ssl/acrux.pem"},
	},
	"no place for files": {files: map[string]string{"etc": "a file"}, wants: nil},
}

// Everything is where programs look, and then as it was, times included.
func TestInstallAndUndo(t *testing.T) {
	for name, test := range images {
		t.Run(name, func(t *testing.T) {
			a := authority(t, "one", "one", "two")
			root := image(t, test.files)
			before := list(t, root)
			installed, err := a.Install(root, Options{Environ: test.environ, Image: true})
			must(t, err)
			for _, bundle := range test.bundles {
				if !has(t, root, bundle, a) {
					t.Errorf("%s has not the authority: %s", bundle, list(t, root)["/"+bundle])
				}
			}
			if n := hashed(t, root, test.single); test.single != "" && n != 3 {
				t.Errorf("%s has %d certificates: %q", test.single, n, list(t, root))
			}
			if diff := cmp.Diff(test.wants, installed.Environ); test.single != "" && diff != "" {
				t.Error(diff)
			}
			must(t, installed.Undo())
			if diff := cmp.Diff(before, list(t, root)); diff != "" {
				t.Errorf("it is not as it was: %s", diff)
			}
		})
	}
}

// A step whose image has nothing gets the usual bundle, and one that signs in somewhere what
// docker looks for.
func TestInstallInStep(t *testing.T) {
	a := authority(t, "one")
	root := image(t, map[string]string{"bin/program": "x"})
	installed, err := a.Install(root, Options{Registries: []string{"my.registry.example:8443"}})
	must(t, err)
	if !has(t, root, debian, a) || !has(t, root, "etc/docker/certs.d/my.registry.example:8443/ca.crt", a) {
		t.Errorf("missing: %q", list(t, root))
	}
	if want := "SSL_CERT_FILE=/" + debian; !slices.Contains(installed.Environ, want) {
		t.Errorf("%s is not among %q", want, installed.Environ)
	}
}

// What the container makes of the files stays, without what is ours.
func TestUndoAfterChanges(t *testing.T) {
	more := strings.ReplaceAll(theirs, "AAAA", "BBBB")
	for name, test := range map[string]struct {
		files  map[string]string
		change func(t *testing.T, root string)
		want   map[string]string
	}{
		"installed anew": {change: func(t *testing.T, root string) { replace(t, root, debian, more) }, want: map[string]string{debian: more}},
		"added to": {change: func(t *testing.T, root string) {
			content, err := os.ReadFile(filepath.Join(root, debian))
			must(t, err)
			replace(t, root, debian, string(content)+more)
		}, want: map[string]string{debian: theirs + more}},
		"removed": {change: func(t *testing.T, root string) { must(t, os.RemoveAll(filepath.Join(root, "etc/ssl"))) }},
		"left aside by apk": {change: func(t *testing.T, root string) { replace(t, root, debian+apkNew, more) },
			want: map[string]string{debian: more}},
		"left aside by apk long ago": {files: map[string]string{debian + apkNew: more}, change: func(*testing.T, string) {},
			want: map[string]string{debian: theirs, debian + apkNew: more}},
		"a directory that it makes too": {files: map[string]string{"bin/program": "x"}, change: func(t *testing.T, root string) {
			replace(t, root, "etc/ssl/certs/own.pem", more)
		}, want: map[string]string{"etc/ssl/certs/own.pem": more, debian: ""}},
	} {
		t.Run(name, func(t *testing.T) {
			a := authority(t, "one")
			files := map[string]string{debian: theirs}
			if name == "a directory that it makes too" {
				delete(files, debian)
			}
			for file, content := range test.files {
				files[file] = content
			}
			root := image(t, files)
			installed, err := a.Install(root, Options{Image: true})
			must(t, err)
			test.change(t, root)
			must(t, installed.Undo())
			for file, want := range test.want {
				if content, err := os.ReadFile(filepath.Join(root, file)); string(content) != want || (err != nil) != (want == "") {
					t.Errorf("%s is %q, %v; want %q", file, content, err, want)
				}
			}
			for name, entry := range list(t, root) {
				if strings.Contains(entry, string(a.text)) || strings.HasSuffix(name, "acrux.pem") {
					t.Errorf("%s is left: %s", name, entry)
				}
			}
		})
	}
}

func replace(t *testing.T, root, name, content string) {
	t.Helper()
	at := filepath.Join(root, name)
	must(t, os.WriteFile(at+".new", []byte(content), 0o644))
	must(t, os.Rename(at+".new", at))
}

// Neither what an image has nor what a container puts there leads anywhere else.
func TestStaysInside(t *testing.T) {
	outside := image(t, map[string]string{"bundle": theirs, "dir/": ""})
	before := list(t, outside)
	a := authority(t, "one")
	root := image(t, map[string]string{
		debian: "->" + outside + "/bundle", "etc/pki/tls/certs": "->" + outside + "/dir", "etc/docker": "->" + outside + "/dir",
		"etc/ssl/cert.pem": "->../../../../../../../../../../../.." + outside + "/bundle",
	})
	must(t, syscall.Mkfifo(filepath.Join(root, "pipe"), 0o644))
	installed, err := a.Install(root, Options{Registries: []string{"a.example"}, Environ: []string{"SSL_CERT_FILE=/pipe", "CURL_CA_BUNDLE=/../../.." + outside + "/bundle"}})
	must(t, err)
	must(t, os.RemoveAll(filepath.Join(root, "etc/ssl")))
	must(t, os.Symlink(outside+"/dir", filepath.Join(root, "etc/ssl")))
	must(t, os.WriteFile(filepath.Join(outside, "dir/acrux.pem"), a.text, 0o644))
	must(t, installed.Undo())
	if !has(t, outside, "dir/acrux.pem", a) {
		t.Error("a file outside was removed")
	}
	must(t, os.Remove(filepath.Join(outside, "dir/acrux.pem")))
	must(t, os.Chtimes(filepath.Join(outside, "dir"), old, old))
	if diff := cmp.Diff(before, list(t, outside)); diff != "" {
		t.Error(diff)
	}
}

func TestNothingToTrust(t *testing.T) {
	root := image(t, map[string]string{debian: theirs})
	before := list(t, root)
	a, err := New([]byte("no certificate\n"))
	must(t, err)
	installed, err := a.Install(root, Options{})
	must(t, err)
	if diff := cmp.Diff(before, list(t, root)); diff != "" || len(installed.Environ) > 0 {
		t.Error(diff, installed.Environ)
	}
}
