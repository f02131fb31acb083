package secret

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Sealer encrypts what is kept at rest, with AES-256-GCM under the installation's
// master key. It is safe for concurrent use.
type Sealer struct {
	aead cipher.AEAD
	key  []byte
}

// keySize is the length of the master key in bytes.
const keySize = 32

// NewSealer returns a Sealer under a master key of 32 bytes.
func NewSealer(key []byte) (*Sealer, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("a master key has %d bytes, this one %d", keySize, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &Sealer{aead: aead, key: bytes.Clone(key)}, err
}

// Derive returns a key for another purpose than sealing, 32 bytes that tell nothing
// about the master key (HKDF, RFC 5869).
func (s *Sealer) Derive(purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, s.key, nil, purpose, keySize)
}

// OpenSealer returns a Sealer under the master key in file, which is made on first
// use, readable by its owner alone.
func OpenSealer(file string) (*Sealer, error) {
	key, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, keySize)
		_, _ = rand.Read(key) // never fails (crypto/rand)
		err = WriteFile(file, key)
	}
	if err != nil {
		return nil, fmt.Errorf("the master key: %w", err)
	}
	return NewSealer(key)
}

// Seal encrypts text. Context names what it is for and must be the same in Open, so
// that a sealed value moved to another place does not open there.
func (s *Sealer) Seal(text []byte, context string) []byte {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(text)+s.aead.Overhead())
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	return s.aead.Seal(nonce, nonce, text, []byte(context))
}

// Open decrypts what Seal made.
func (s *Sealer) Open(sealed []byte, context string) ([]byte, error) {
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, errors.New("the sealed value is too short")
	}
	text, err := s.aead.Open(nil, sealed[:n], sealed[n:], []byte(context))
	if err != nil {
		return nil, fmt.Errorf("opening a sealed value (wrong master key?): %w", err)
	}
	return text, nil
}

// WriteFile writes a file only its owner may read, complete or not at all, and on
// disk when it returns.
func WriteFile(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails when the rename has happened
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
