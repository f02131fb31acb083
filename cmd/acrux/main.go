// Command acrux is a registry and builder for containers with the interface of Azure
// Container Registry and its tasks: server, agent and client in one binary.
package main

import (
	"os"

	"github.com/acrux/acrux/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
