// Package runlog keeps the logs of runs: one file each, appended while the run goes
// on and read at any time. Whether a log is complete is the run's state, not the
// log's: the state becomes final after the last byte.
package runlog

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/disk"
)

// Key names a log: the registry's resource ID and the run's ID. A registry that is
// made under a name that was free again is another one, with logs of its own.
type Key struct{ Registry, RunID string }

// Logs is a directory of logs. It is safe for concurrent use; the logs of one run
// are appended by one agent at a time.
type Logs struct {
	// Reserve is where the last words of a run find space on a full disk. Set before use;
	// nil is none.
	Reserve *disk.Reserve

	dir string
	mu  sync.Mutex
}

// ErrGap says that bytes are missing before the offset of an append.
var ErrGap = errors.New("the log has a gap")

// MaxSize is the largest log in bytes; what comes after is refused.
const MaxSize = 256 << 20

// ErrTooLarge says that a log has reached MaxSize.
var ErrTooLarge = errors.New("the log is too large")

// Open returns the logs in dir, which is made if needed.
func Open(dir string) (*Logs, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the run logs: %w", err)
	}
	return &Logs{dir: dir}, nil
}

// file is where a log lives: a folder for each registry, with its name for people and
// a hash of its ID.
func (l *Logs) file(key Key) string {
	registry := strings.ToLower(key.Registry)
	sum := sha256.Sum256([]byte(registry))
	return filepath.Join(l.dir, path.Base(registry)+"-"+hex.EncodeToString(sum[:8]), path.Base(strings.ToLower(key.RunID))+".log")
}

// Append writes p at offset. Bytes that are already there are not written again.
func (l *Logs) Append(key Key, offset int64, p []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, size, err := l.open(key)
	if err != nil {
		return err
	}
	switch {
	case offset > size:
		err = fmt.Errorf("%w: it has %d bytes, the next begin at %d", ErrGap, size, offset)
	case offset+int64(len(p)) > MaxSize:
		err = ErrTooLarge
	case offset+int64(len(p)) > size:
		_, err = f.WriteAt(p[size-offset:], size)
	}
	return errors.Join(err, f.Close())
}

func (l *Logs) open(key Key) (*os.File, int64, error) {
	name := l.file(key)
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(name), 0o700); err == nil {
			f, err = os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		}
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// AppendLast writes text at the end, whatever the end is, and syncs: the last words
// of a run whose agent is gone.
func (l *Logs) AppendLast(key Key, text string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Reserve.Spend()
	f, size, err := l.open(key)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(text), size)
	return errors.Join(err, f.Sync(), f.Close())
}

// Sync makes a log durable. A log without a byte is none.
func (l *Logs) Sync(key Key) error {
	f, err := os.Open(l.file(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Sweep removes the logs that nobody has written to since a time, but for those that are kept,
// and tells how many files that were.
func (l *Logs) Sweep(since time.Time, keep []Key) (removed int, err error) {
	kept := map[string]bool{}
	for _, key := range keep {
		kept[l.file(key)], kept[l.prefaceFile(key)] = true, true
	}
	err = filepath.WalkDir(l.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || kept[path] {
			return ignoreGone(err)
		}
		info, err := entry.Info()
		if err != nil || !info.ModTime().Before(since) {
			return ignoreGone(err)
		}
		if err := os.Remove(path); err != nil {
			return ignoreGone(err)
		}
		removed++
		return nil
	})
	if err != nil {
		return removed, fmt.Errorf("removing old logs: %w", err)
	}
	return removed, nil
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
