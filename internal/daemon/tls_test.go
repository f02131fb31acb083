package daemon

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAuthority(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	serial := func(domain string, now time.Time) string {
		t.Helper()
		ca, err := authorityIn(dir).open(domain, now)
		if err != nil {
			t.Fatal(err)
		}
		return ca.cert().SerialNumber.String()
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

// Before an authority ends there is another certificate of it, in time for everybody to get
// it. What is signed is good for who has the old one, the new one, or the file.
func TestAuthorityIsRenewed(t *testing.T) {
	dir, made := t.TempDir(), time.Now()
	c, err := openCertificates(dir, "a.test", nil, made)
	if err != nil {
		t.Fatal(err)
	}
	own, err := c.roots(made)
	if err != nil {
		t.Fatal(err)
	}
	pool := func(certs ...*x509.Certificate) *x509.CertPool {
		p := x509.NewCertPool()
		for _, cert := range certs {
			p.AddCert(cert)
		}
		return p
	}
	first := c.public.cert()
	if ends, err := c.renew(made.Add(caLife - caRenewAt - time.Hour)); err != nil || !ends.Equal(first.NotAfter) || len(c.public.certs) != 1 {
		t.Fatalf("it is renewed too early, or not known to end: %s, %v", ends, err)
	}
	now := made.Add(caLife - caRenewAt + time.Hour)
	ends, err := c.renew(now)
	if err != nil || !ends.Equal(first.NotAfter) || len(c.public.certs) != 2 {
		t.Fatalf("%d certificates, one ends %s, %v", len(c.public.certs), ends, err)
	}
	second := c.public.cert()
	file := x509.NewCertPool()
	if text, err := os.ReadFile(filepath.Join(dir, "ca.crt")); err != nil || !file.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	leaf, err := c.public.issue(c.publicNames, now)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(who string, roots *x509.CertPool, at time.Time, good bool) {
		t.Helper()
		_, err := leaf.Leaf.Verify(x509.VerifyOptions{DNSName: "management.a.test", Roots: roots, CurrentTime: at})
		if (err == nil) != good {
			t.Errorf("for who has %s at %s: %v", who, at, err)
		}
	}
	verify("the old one", pool(first), now, true)
	verify("the new one", pool(second), now, true)
	verify("the file", file, now, true)
	verify("what the server has", own, now, true)

	// A restart, whatever a kill left beside the file, goes on with both.
	again, err := openCertificates(dir, "a.test", nil, now)
	if err != nil || len(again.public.certs) != 2 || !again.public.cert().Equal(second) {
		t.Fatalf("after a restart: %v", err)
	}
	// Years later the old one is gone.
	now = made.Add(caLife + time.Hour)
	if leaf, err = again.public.issue(again.publicNames, now); err != nil {
		t.Fatal(err)
	}
	verify("the old one", pool(first), now, false)
	verify("the file", file, now, true)
	verify("what the server has", own, now, true)
	if ends, err := again.renew(now); err != nil || !ends.Equal(second.NotAfter) {
		t.Errorf("the next end is %s, %v", ends, err)
	}
}

// An authority that cannot be written serves on with the old certificate.
func TestAuthorityCannotBeRenewed(t *testing.T) {
	dir, made := t.TempDir(), time.Now()
	c, err := openCertificates(dir, "a.test", nil, made)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := c.public
	if _, err := c.renew(made.Add(caLife - time.Hour)); err == nil || c.public != before {
		t.Errorf("renewed without a file, %v", err)
	}
	if _, err := c.get(&tls.ClientHelloInfo{ServerName: "management.a.test"}); err != nil {
		t.Error(err)
	}
}
