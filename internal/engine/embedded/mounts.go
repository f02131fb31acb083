//go:build linux && cgo

package embedded

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// unmountLeft unmounts everything below root, and the short-lived mounts of root's
// layers that BuildKit makes in the directory for temporary files.
func unmountLeft(root string) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("reading the mount table: %w", err)
	}
	var left []string
	lines := bufio.NewScanner(bytes.NewReader(table))
	lines.Buffer(nil, 1<<20) // an overlay of many layers makes a long line
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		point := unescape(fields[4])
		below := strings.HasPrefix(point, root+"/")
		temporary := strings.HasPrefix(filepath.Base(point), "buildkit-mount") || strings.HasPrefix(filepath.Base(point), "containerd-mount")
		if below || temporary && strings.Contains(lines.Text(), root+"/") {
			left = append(left, point)
			if temporary && !below {
				defer os.Remove(point)
			}
		}
	}
	// What was mounted last lies on top.
	for _, point := range slices.Backward(left) {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmounting %s: %w", point, err)
		}
	}
	return nil
}

// unescape undoes the octal escapes of the mount table.
func unescape(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}
