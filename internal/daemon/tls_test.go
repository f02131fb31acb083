package daemon

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAuthority(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	serial := func(domain string, now time.Time) string {
		t.Helper()
		ca, err := openAuthority(dir, domain, now)
		if err != nil {
			t.Fatal(err)
		}
		return ca.cert.SerialNumber.String()
	}
	first := serial("a.test", now)
	if serial("a.test", now.Add(caLife/2)) != first {
		t.Error("it is another one after a restart")
	}
	if serial("b.test", now) == first {
		t.Error("it is the same for another domain")
	}
	second := serial("a.test", now)
	if serial("a.test", now.Add(caLife+time.Hour)) == second {
		t.Error("it is the same when its time is over")
	}
	// What a crash leaves between the new key and the new certificate.
	if err := os.Remove(filepath.Join(dir, "ca.crt")); err != nil {
		t.Fatal(err)
	}
	serial("a.test", now)
	for name, want := range map[string]os.FileMode{"ca.key": 0o600, "ca.crt": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// A certificate is handed out until it ends soon; names of aliases have their own.
func TestRenewal(t *testing.T) {
	now := time.Now()
	c, err := openCertificates(t.TempDir(), "a.test", []string{"r.azurecr.io", "s.azurecr.io"}, now)
	if err != nil {
		t.Fatal(err)
	}
	get := func(name string) *tls.Certificate {
		t.Helper()
		cert, err := c.get(&tls.ClientHelloInfo{ServerName: name})
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	first := get("management.a.test")
	if get("login.a.test") != first || get("") != first {
		t.Error("each name has a certificate of its own")
	}
	if alias := get("R.AzureCR.io"); alias == first || alias.Leaf.VerifyHostname("r.azurecr.io") != nil {
		t.Error("the alias has the certificate of the domain")
	}
	old, err := c.public.issue(c.publicNames, now.Add(renewAt-leafLife-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	c.have[c.public] = old
	if renewed := get("management.a.test"); renewed == old || !renewed.Leaf.NotAfter.After(now.Add(renewAt)) {
		t.Error("a certificate that ends soon is still handed out")
	}
}
