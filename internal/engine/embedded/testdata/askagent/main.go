// Command askagent prints the keys of the SSH agent that it finds, signs with the first
// and tries to change the agent.
package main

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func main() {
	conn, err := net.Dial("unix", os.Getenv("SSH_AUTH_SOCK"))
	if err != nil {
		fmt.Println("no agent:", err)
		return
	}
	client := agent.NewClient(conn)
	keys, err := client.List()
	if err != nil {
		fmt.Println("no keys:", err)
		return
	}
	for _, key := range keys {
		signature, err := client.Sign(key, []byte("text"))
		fmt.Println(ssh.FingerprintSHA256(key), err == nil && key.Verify([]byte("text"), signature) == nil)
	}
	fmt.Println("emptied:", client.RemoveAll() == nil)
}
