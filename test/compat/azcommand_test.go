package compat_test

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// azProgram is Debian's Azure CLI, azLibrary its code.
const (
	azProgram = "/usr/bin/az"
	azRelease = "2.45.0"
	azLibrary = "/usr/lib/python3/dist-packages/azure/cli"
)

func azIsKnown() bool {
	text, err := os.ReadFile(filepath.Join(azLibrary, "core", "__init__.py"))
	return err == nil && strings.Contains(string(text), `__version__ = "`+azRelease+`"`)
}

// azSocket names the socket of testdata/azserve.py; without it commands are processes
// of their own.
const azSocket = "AZ_SOCKET"

// azDefects are faults of the package that keep commands from sending anything: its
// authorization library is newer than the code that uses it, and one command looks for
// a class in the wrong group. They are repaired in a copy.
var azDefects = []struct{ file, old, new string }{
	{"role/custom.py", "_client.config.", "_client._config."},
	{"acr/task.py", "operation_group='TaskUpdateParameters'", "operation_group='tasks'"},
}

// repairAz puts repaired copies in the place of the package's files.
func repairAz(dir string) error {
	for _, defect := range azDefects {
		file := filepath.Join(azLibrary, "command_modules", defect.file)
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			return nil // the tests say what is missing
		}
		if err != nil {
			return err
		}
		if err := cover(dir, file, strings.ReplaceAll(string(text), defect.old, defect.new)); err != nil {
			return err
		}
	}
	return nil
}

//go:embed testdata/azserve.py
var azServer string

// startAz runs the process that runs commands, and returns its socket.
func startAz(t testing.TB) string {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", "-c", azServer)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	return serveAz(t, cmd)
}

// serveAz runs the command of a process that runs commands, and returns its socket.
func serveAz(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "az")
	cmd.Args, cmd.Stderr = append(cmd.Args, socket), os.Stderr
	out := must[io.ReadCloser](t)(cmd.StdoutPipe())
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it waits for requests for ever
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the process that runs az said %q: %v", line, err)
	}
	return socket
}

// azEnviron keeps the Azure CLI from asking its publisher for anything, and from writing
// what it compiles of the repaired files.
func azEnviron() []string {
	return []string{"AZURE_CORE_COLLECT_TELEMETRY=false", "AZURE_CORE_SURVEY_MESSAGE=false", "AZURE_CORE_ERROR_RECOMMENDATION=off", "AZ_INSTALLER=DEB", "PYTHONDONTWRITEBYTECODE=1", "LC_ALL=C.UTF-8"}
}

// azClient is an Azure CLI: its release and, if it is not started anew for each command, the
// socket of what runs its commands.
type azClient struct{ release, socket string }

// stock is that of the machine.
var stock = azClient{release: azRelease}

// emptyConfig makes a folder for the Azure CLI that only keeps it from asking whether
// there is a newer release.
func emptyConfig(dir string) error { return stock.emptyConfig(dir) }

func (c azClient) emptyConfig(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "versionCheck.json"), []byte(`{"versions": {"core": {"local": "`+c.release+`"}}, "update_time": ""}`), 0o644)
}

// runAz is the command az of the scripts. It shows what the Azure CLI writes with lines
// that end in LF: what az prints of a run's log ends in CR LF.
func runAz(args []string) int {
	r, w, err := os.Pipe()
	if err != nil {
		return fault(err)
	}
	copied := make(chan struct{})
	go func() {
		_, _ = io.Copy(os.Stdout, lineEnds{r}) // whoever reads it may be gone
		close(copied)
	}()
	status, err := azCommand(args, w)
	w.Close()
	<-copied
	if err != nil {
		return fault(err)
	}
	return status
}

func fault(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 125
}

// lineEnds reads CR LF as LF.
type lineEnds struct{ io.Reader }

func (l lineEnds) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	return copy(p, bytes.ReplaceAll(p[:n], []byte("\r"), nil)), err
}

func azCommand(args []string, out *os.File) (int, error) {
	if socket := os.Getenv(azSocket); socket != "" {
		return askForAz(socket, args, out)
	}
	cmd := exec.Command(azProgram, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, out, os.Stderr
	err := cmd.Run()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// askForAz has a child of the process behind the socket run the command.
func askForAz(socket string, args []string, out *os.File) (int, error) {
	conn, err := net.Dial("unixpacket", socket)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	dir, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	environ := map[string]string{}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		environ[name] = value
	}
	message, err := json.Marshal(map[string]any{"args": args, "dir": dir, "env": environ})
	if err != nil {
		return 0, err
	}
	files := syscall.UnixRights(int(os.Stdin.Fd()), int(out.Fd()), int(os.Stderr.Fd()))
	if _, _, err := conn.(*net.UnixConn).WriteMsgUnix(message, files, nil); err != nil {
		return 0, err
	}
	status := make([]byte, 1)
	if n, err := conn.Read(status); n != 1 {
		return 0, fmt.Errorf("the process that runs az has gone: %w", err)
	}
	return int(status[0]), nil
}
