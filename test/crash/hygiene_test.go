package crash_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// holdings are what a server has of the machine.
type holdings struct {
	files, mounts, threads, devices int
	engineBytes                     int64
}

func (w *world) holdings() holdings {
	w.t.Helper()
	proc := fmt.Sprintf("/proc/%d", w.PID())
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	must(w.t, err)
	threads, err := os.ReadDir(filepath.Join(proc, "task"))
	must(w.t, err)
	devices, err := os.ReadDir("/sys/class/net")
	must(w.t, err)
	h := holdings{files: len(fds), threads: len(threads), mounts: len(w.leftovers()), devices: len(devices)}
	err = filepath.WalkDir(filepath.Join(w.Data, "engine"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			if os.IsNotExist(err) {
				err = nil // it is being tidied up
			}
			return err
		}
		if info, err := d.Info(); err == nil && !strings.HasSuffix(path, ".db") {
			h.engineBytes += info.Size()
		}
		return nil
	})
	must(w.t, err)
	return h
}

// Runs leave nothing that grows: not files that are open, not mounts, threads or
// network devices, not what lies on disk.
func TestManyRuns(t *testing.T) {
	w := newWorld(t)
	good := "- cmd: $Registry/base:1 sh -c 'printf \"FROM $Registry/base:1\\nRUN dd if=/dev/urandom of=/big bs=1M count=2\\n\" > /workspace/Dockerfile'\n" +
		"- build: --no-cache -t $Registry/x:$ID .\n- id: side\n  cmd: $Registry/x:$ID sleep 600\n  detach: true\n- cmd: $Registry/x:$ID true\n"
	kinds := []string{good, "- cmd: $Registry/base:1 false\n", good + "- cmd: $Registry/nothere:1 true\n", "- cmd: [\n", "- cmd: $Registry/base:1 sleep 7400\n"}
	round := func(n int) {
		file := filepath.Join(t.TempDir(), "task.yaml")
		for i := range n {
			kind := kinds[i%len(kinds)]
			must(t, os.WriteFile(file, []byte("version: v1.1.0\nsteps:\n"+kind), 0o600))
			w.az("acr", "run", "--registry", "myregistry", "--no-wait", "--file", file, "/dev/null")
		}
		var wg sync.WaitGroup
		w.eventually("the end of all runs", func() bool {
			open := w.az("acr", "task", "list-runs", "--registry", "myregistry", "--query", "[?status=='Queued' || status=='Started' || status=='Running'].runId", "--output", "tsv")
			if running("7400") {
				for _, run := range strings.Fields(open) {
					wg.Go(func() {
						if w.status(run) == "Running" && running("7400") {
							_ = w.command(t.Context(), "acr", "task", "cancel-run", "--registry", "myregistry", "--run-id", run).Run()
						}
					})
				}
				wg.Wait()
			}
			return open == ""
		})
	}
	// settle waits until what the server has no longer shrinks.
	settle := func() holdings {
		last := w.holdings()
		for range 100 {
			time.Sleep(3 * time.Second) // longer than the engine waits before it tidies up
			now := w.holdings()
			if now == last {
				break
			}
			last = now
		}
		return last
	}
	round(2 * len(kinds))
	before := settle()
	round(6 * len(kinds))
	after := settle()
	t.Logf("before: %+v", before)
	t.Logf("after:  %+v", after)
	// The layers of builds stay for later ones, here 2 MiB each, unpacked and packed; that
	// cache has a bound of its own. Twelve runs of the second round build.
	const spareBytes = 8 << 20
	if grown := after.engineBytes - before.engineBytes; grown > 12*2*(2<<20)+spareBytes {
		t.Errorf("the engine's files grew by %d bytes", grown)
	}
	// What each run leaves would show thirty times; connections and threads at rest come
	// and go.
	const spare = 15
	if after.files > before.files+spare || after.mounts > before.mounts || after.threads > before.threads+spare || after.devices > before.devices {
		t.Errorf("the server keeps more and more: %+v, then %+v", before, after)
	}
	if left := w.ofRuns(); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
	must(t, w.Stop())
	if left := append(w.leftovers(), w.ofRuns()...); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}
