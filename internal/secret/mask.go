package secret

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// minMasked is the length below which a secret is not masked: replacing every
// "no" in a log would hide more than the secret.
const minMasked = 4

// Mask is a set of secret texts that must not be shown. It may grow while streams
// are being masked. Methods may be called from many goroutines.
type Mask struct {
	mu      sync.RWMutex
	secrets [256][][]byte // by first byte
}

// NewMask returns a mask of these secrets.
func NewMask(secrets ...String) *Mask {
	m := new(Mask)
	m.Add(secrets...)
	return m
}

// Add puts more secrets in: each as it is, without the blanks around it, and line
// by line, since programs print a key with many lines one at a time; each in the forms
// that encoded lists; and by words, into which a shell takes it apart. Texts shorter than
// four bytes are left out.
func (m *Mask) Add(secrets ...String) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, secret := range secrets {
		m.add(secret.text)
		for _, text := range []string{secret.text, strings.TrimSpace(secret.text)} {
			if len(text) < minMasked {
				continue
			}
			for _, form := range encoded(text) {
				m.add(form)
			}
		}
		for line := range strings.Lines(secret.text) {
			m.add(strings.TrimSpace(line))
		}
		for _, word := range words(secret.text) {
			m.add(word)
		}
	}
}

func (m *Mask) add(text string) {
	if len(text) < minMasked {
		return
	}
	bucket := &m.secrets[text[0]]
	for _, known := range *bucket {
		if string(known) == text {
			return
		}
	}
	*bucket = append(*bucket, []byte(text))
}

// match returns the length of the longest secret that p begins with, and whether
// p is the beginning of a longer one.
func (m *Mask) match(p []byte) (length int, more bool) {
	for _, secret := range m.secrets[p[0]] {
		switch {
		case len(secret) > len(p):
			more = more || bytes.HasPrefix(secret, p)
		case len(secret) > length && bytes.HasPrefix(p, secret):
			length = len(secret)
		}
	}
	return length, more
}

// Text returns text with every secret in it replaced.
func (m *Mask) Text(text string) string {
	var out strings.Builder
	w := m.Writer(&out)
	_, _ = w.Write([]byte(text)) // a strings.Builder takes everything
	_ = w.Flush()
	return out.String()
}

// Writer returns a writer that passes on to w what is written to it, with *** in
// place of each secret, also of one that comes in pieces. Overlapping secrets give
// one ***. Text that may be the beginning of a secret is held back until more
// comes, or until Flush.
func (m *Mask) Writer(w io.Writer) *MaskWriter { return &MaskWriter{mask: m, w: w} }

// MaskWriter masks one stream. It is for one goroutine at a time.
type MaskWriter struct {
	mask    *Mask
	w       io.Writer
	held    []byte
	covered int // how many of the next bytes belong to a secret already replaced
}

// Write implements io.Writer.
func (w *MaskWriter) Write(p []byte) (int, error) {
	w.held = append(w.held, p...)
	if err := w.pass(false); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Holds reports whether something is held back that may be the beginning of a secret.
func (w *MaskWriter) Holds() bool { return len(w.held) > 0 }

// Flush passes on what is held back. The stream may go on afterwards.
func (w *MaskWriter) Flush() error { return w.pass(true) }

// pass masks and writes what is held; unless it is the end, what may become a
// secret stays.
func (w *MaskWriter) pass(end bool) error {
	w.mask.mu.RLock()
	var out []byte
	at, covered := 0, w.covered // covered: index of the first byte that is to be shown
	for at < len(w.held) {
		length, more := w.mask.match(w.held[at:])
		if more && !end {
			break
		}
		if length > 0 && at+length > covered {
			if at >= covered {
				out = append(out, masked...)
			}
			covered = at + length
		}
		if at >= covered {
			out = append(out, w.held[at])
		}
		at++
	}
	w.mask.mu.RUnlock()
	w.held = append(w.held[:0], w.held[at:]...)
	w.covered = max(0, covered-at)
	if len(out) == 0 {
		return nil
	}
	_, err := w.w.Write(out)
	return err
}
