package runlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A log may have a preface: what the server says of a run before any agent has it. It is a
// file of its own, since agents count the bytes of a log from the first that is theirs.

func (l *Logs) prefaceFile(key Key) string { return l.file(key) + ".preface" }

// Preface puts a text in front of a log that has not begun, in place of what an earlier run
// of the ID may have left there. No text is no preface.
func (l *Logs) Preface(key Key, text string) error {
	name := l.prefaceFile(key)
	if text == "" {
		return ignoreGone(os.Remove(name))
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("the preface of a log: %w", err)
	}
	return os.WriteFile(name, []byte(text), 0o600)
}

// preface is what stands in front of a log; nothing if there is none.
func (l *Logs) preface(key Key) ([]byte, error) {
	text, err := os.ReadFile(l.prefaceFile(key))
	return text, ignoreGone(err)
}

// Size returns how many bytes a log has, and when it changed; a log not begun has none but
// its preface.
func (l *Logs) Size(key Key) (int64, time.Time, error) {
	preface, err := l.preface(key)
	if err != nil {
		return 0, time.Time{}, err
	}
	before := int64(len(preface))
	info, err := os.Stat(l.file(key))
	if errors.Is(err, fs.ErrNotExist) {
		return before, time.Time{}, nil
	}
	if err != nil {
		return 0, time.Time{}, err
	}
	return before + info.Size(), info.ModTime(), nil
}

// Copy writes n bytes from offset to w.
func (l *Logs) Copy(w io.Writer, key Key, offset, n int64) error {
	preface, err := l.preface(key)
	if err != nil {
		return err
	}
	before := int64(len(preface))
	if offset < before {
		part := min(n, before-offset)
		if _, err := io.Copy(w, io.NewSectionReader(bytes.NewReader(preface), offset, part)); err != nil || part == n {
			return err
		}
		offset, n = before, n-part
	}
	f, err := os.Open(l.file(key))
	if err != nil {
		return ignoreGone(err)
	}
	defer f.Close()
	_, err = io.Copy(w, io.NewSectionReader(f, offset-before, n))
	return err
}
