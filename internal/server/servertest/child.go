package servertest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// childVariable holds, in a server that runs as a process of its own, its directory.
const childVariable = "ACRUX_TEST_SERVER_DIRECTORY"

// ServeChild is for TestMain of packages that use StartChild: in the process of a
// server it serves until it is killed, otherwise it returns.
func ServeChild() {
	dir := os.Getenv(childVariable)
	if dir == "" {
		return
	}
	server := httptest.NewUnstartedServer(nil)
	stack, err := Build(context.Background(), dir, dir, server.Listener.Addr().String())
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	server.Config.Handler = stack.Router
	server.StartTLS()
	fmt.Println(server.Listener.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // ends when the parent does
	os.Exit(0)
}

// Child is a server in a process of its own.
type Child struct {
	Address string
	command *exec.Cmd
}

// StartChild starts a server on dir by running the test program once more.
func StartChild(t *testing.T, dir string) *Child {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childVariable+"="+dir)
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	c := &Child{command: command}
	t.Cleanup(func() { _ = in.Close(); c.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error") {
		t.Fatalf("the server said %q, %v", line, err)
	}
	c.Address = strings.TrimSpace(line)
	return c
}

// Kill ends the server as a power failure of its process would: with SIGKILL.
func (c *Child) Kill() {
	_ = c.command.Process.Kill() // it may have ended
	_ = c.command.Wait()         // it was killed
}
