package githost

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
)

// host is how one git host proves who it is, and how its bodies are read.
type host struct {
	provider Provider
	signs    bool     // the body; else the secret is sent along
	ids      []string // headers that may have the delivery's ID
	proofs   []string // headers that may have the signature or the secret
	parse    func(http.Header, []byte, *Delivery) error
}

var hosts = map[Provider]host{
	Gitea: {Gitea, true, []string{"X-Forgejo-Delivery", "X-Gitea-Delivery"},
		[]string{"X-Forgejo-Signature", "X-Gitea-Signature"}, parseGitea},
	GitHub: {GitHub, true, []string{"X-GitHub-Delivery"}, []string{"X-Hub-Signature-256"}, parseGitHub},
	GitLab: {GitLab, false, []string{"X-Gitlab-Event-UUID", "Idempotency-Key"},
		[]string{"X-Gitlab-Token"}, parseGitLab},
	Bitbucket: {Bitbucket, true, []string{"X-Request-UUID"}, []string{"X-Hub-Signature"}, parseBitbucket},
	BitbucketServer: {BitbucketServer, true, []string{"X-Request-Id"}, []string{"X-Hub-Signature"},
		parseBitbucketServer},
	AzureDevOps: {AzureDevOps, false, nil, nil, parseAzureDevOps},
	Generic:     {Generic, true, nil, []string{SignatureHeader}, parseGeneric},
}

// SignatureHeader has the signature of a delivery in our own form: "sha256=" and the HMAC of the
// body with SHA-256 and the trigger's secret, in hexadecimal.
const SignatureHeader = "X-Acrux-Signature"

// recognise tells which host sends such headers. Gitea and Forgejo send GitHub's as well.
func recognise(header http.Header) (host, bool) {
	for _, known := range []struct {
		name     string
		provider Provider
	}{
		{"X-Forgejo-Event", Gitea}, {"X-Gitea-Event", Gitea}, {"X-GitHub-Event", GitHub},
		{"X-Gitlab-Event", GitLab}, {"X-Hook-UUID", Bitbucket}, {"X-Event-Key", BitbucketServer},
		{SignatureHeader, Generic}, {"Authorization", AzureDevOps},
	} {
		if header.Get(known.name) != "" {
			return hosts[known.provider], true
		}
	}
	return host{}, false
}

func (h host) id(header http.Header) string { return first(header, h.ids) }

func first(header http.Header, names []string) string {
	for _, name := range names {
		if value := header.Get(name); value != "" {
			return value
		}
	}
	return ""
}

// proved reports whether a delivery is by who knows the secret.
func (h host) proved(header http.Header, body []byte, secret string) bool {
	proof := first(header, h.proofs)
	switch {
	case h.provider == AzureDevOps:
		_, password, ok := (&http.Request{Header: header}).BasicAuth()
		return ok && same(password, secret)
	case !h.signs:
		return same(proof, secret)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	given, err := hex.DecodeString(strings.TrimPrefix(proof, "sha256="))
	return err == nil && hmac.Equal(given, mac.Sum(nil))
}

// same compares in a time that tells nothing of where texts differ.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
