package enginetest

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// NoLeaks fails the test if the kernel still holds something that bears one of the
// marks in its name: a mount (network namespaces are mounts too), a network device of
// the machine, a control group. It also fails if a thread of this process was left in
// a network namespace that is not the process's own. Marks are names that no other
// executor of the machine uses, such as its directory.
func NoLeaks(t testing.TB, marks ...string) {
	t.Helper()
	marked := func(text string) bool {
		for _, mark := range marks {
			if strings.Contains(text, mark) {
				return true
			}
		}
		return false
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatalf("reading the mount table: %v", err)
	}
	for line := range strings.Lines(string(mounts)) {
		if marked(line) {
			t.Errorf("a mount is left: %s", line)
		}
	}
	groups, _ := filepath.Glob("/sys/fs/cgroup/*")
	deeper, _ := filepath.Glob("/sys/fs/cgroup/*/*")
	for _, group := range append(groups, deeper...) {
		if marked(group) {
			t.Errorf("a control group is left: %s", group)
		}
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatalf("listing network devices: %v", err)
	}
	for _, link := range links {
		if marked(link.Name) {
			t.Errorf("a network device is left: %s", link.Name)
		}
	}
	noStrayThreads(t)
}

func noStrayThreads(t testing.TB) {
	t.Helper()
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatalf("reading the network namespace: %v", err)
	}
	threads, _ := filepath.Glob("/proc/self/task/*/ns/net")
	for _, thread := range threads {
		if other, err := os.Readlink(thread); err == nil && other != own {
			t.Errorf("a thread is left in network namespace %s", other)
		}
	}
}
