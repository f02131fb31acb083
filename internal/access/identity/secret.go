package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/secret"
)

// secretPrefix lets scanners for leaked secrets find them.
const secretPrefix = "acrux_"

// newSecret returns 256 random bits as text.
func newSecret() string {
	p := make([]byte, 32)
	_, _ = rand.Read(p) // never fails (crypto/rand)
	return secretPrefix + base64.RawURLEncoding.EncodeToString(p)
}

// hint is the part of a secret by which people tell it from others.
func hint(text string) string { return text[len(secretPrefix):][:3] }

// checkSecrets returns nil if text is one of the secrets and counts now.
func checkSecrets(credentials []Credential, text secret.String, now time.Time) error {
	err := ErrWrongSecret
	for _, c := range credentials {
		if c.Kind != Secret || !checkSecret(c.Hash, text.Reveal()) {
			continue
		}
		if c.Valid(now) {
			return nil
		}
		err = ErrSecretExpired
	}
	return err
}

// hashSecret is a salted SHA-256. A slow password hash would add nothing: the
// secrets are 256 random bits, never chosen by people.
func hashSecret(text string) string {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	return hex.EncodeToString(salt) + ":" + hashWith(salt, text)
}

func hashWith(salt []byte, text string) string {
	sum := sha256.Sum256(append(salt, text...))
	return hex.EncodeToString(sum[:])
}

func checkSecret(hash, text string) bool {
	salt, want, ok := strings.Cut(hash, ":")
	raw, err := hex.DecodeString(salt)
	if err != nil || !ok {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(hashWith(raw, text)), []byte(want)) == 1
}
