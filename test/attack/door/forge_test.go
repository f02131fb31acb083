package door_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/store/sqlstore"
)

// A forger has what an attacker has, keys of his own and what the server publishes, and
// for tokens that the server does not issue any more, or to nobody, the server's key.
type forger struct {
	real  *ecdsa.PrivateKey
	kid   string
	own   *ecdsa.PrivateKey
	rsa   *rsa.PrivateKey
	lure  string // URL of a server of his, which must not be asked
	owner string // object ID of somebody with more rights
}

// newForger reads the server's key out of its data directory.
func newForger(t *testing.T, w *world) *forger {
	t.Helper()
	db, err := sqlstore.OpenShared(t.Context(), w.Data)
	must(t, err)
	defer db.Close()
	sealed, err := db.SigningKeys(t.Context())
	must(t, err)
	sealer, err := secret.OpenSealer(filepath.Join(w.Data, "keys", "master.key"))
	must(t, err)
	f := &forger{}
	for kid, text := range sealed {
		der, err := sealer.Open(text, "signing-key#"+kid)
		must(t, err)
		f.kid = kid
		f.real, err = x509.ParseECPrivateKey(der)
		must(t, err)
	}
	f.own, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	f.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	return f
}

// fields are the members of a header or of claims. Numbers keep their digits.
type fields map[string]any

// with is a copy with members changed; nil takes one away.
func (f fields) with(changes fields) fields {
	all := fields{}
	for name, value := range f {
		all[name] = value
	}
	for name, value := range changes {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return all
}

func encoded(part []byte) string { return base64.RawURLEncoding.EncodeToString(part) }

func decoded(part string) []byte {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		panic(err) // the server's own tokens
	}
	return text
}

// open takes a token apart.
func open(token string) (header, claims fields, signature []byte) {
	parts := strings.Split(token, ".")
	for i, into := range []*fields{&header, &claims} {
		decoder := json.NewDecoder(strings.NewReader(string(decoded(parts[i]))))
		decoder.UseNumber()
		if err := decoder.Decode(into); err != nil {
			panic(err) // the server's own tokens
		}
	}
	return header, claims, decoded(parts[2])
}

// unsigned are the first two parts of a token.
func unsigned(header, claims fields) string {
	h, err := json.Marshal(header)
	if err != nil {
		panic(err) // texts and numbers
	}
	c, err := json.Marshal(claims)
	if err != nil {
		panic(err) // texts and numbers
	}
	return encoded(h) + "." + encoded(c)
}

func es256(text string, key *ecdsa.PrivateKey) (r, s *big.Int) {
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		panic(err) // the key is good
	}
	return r, s
}

func signES256(text string, key *ecdsa.PrivateKey) string {
	r, s := es256(text, key)
	return text + "." + encoded(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func signHS256(text string, key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return text + "." + encoded(mac.Sum(nil))
}

func signRS256(text string, key *rsa.PrivateKey) string {
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err) // the key is good
	}
	return text + "." + encoded(signature)
}

// der is the right signature in the form that JWS does not have.
func der(text string, key *ecdsa.PrivateKey) string {
	r, s := es256(text, key)
	signature, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		panic(err) // two numbers
	}
	return text + "." + encoded(signature)
}

// point is a public key as JWKS has it: X and Y.
func point(key *ecdsa.PrivateKey) []byte {
	raw, err := key.PublicKey.Bytes()
	if err != nil {
		panic(err) // the key is good
	}
	return raw[1:]
}

func pemOf(key *ecdsa.PrivateKey) []byte {
	text, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		panic(err) // the key is good
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: text})
}

func jwk(key *ecdsa.PrivateKey, kid string) fields {
	xy := point(key)
	return fields{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": encoded(xy[:32]),
		"y": encoded(xy[32:])}
}

// again signs what the server could have said with the server's key.
func (f *forger) again(token string, changes fields) string {
	_, claims, _ := open(token)
	return signES256(unsigned(fields{"alg": "ES256", "typ": "JWT", "kid": f.kid}, claims.with(changes)), f.real)
}

// canary is a server that must not be asked.
type canary struct {
	sync.Mutex
	seen []string
}

func (c *canary) note(what string) {
	c.Lock()
	defer c.Unlock()
	c.seen = append(c.seen, what)
}

// visits are the requests so far whose line contains a text.
func (c *canary) visits(with string) (found []string) {
	c.Lock()
	defer c.Unlock()
	for _, line := range c.seen {
		if strings.Contains(line, with) {
			found = append(found, line)
		}
	}
	return found
}
