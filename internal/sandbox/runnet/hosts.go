//go:build linux

package runnet

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// localNames open every hosts file.
const localNames = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"

// HostsFile is the content of a hosts file with entries "name:address".
func HostsFile(hosts []string) string {
	var b strings.Builder
	b.WriteString(localNames)
	for _, host := range hosts {
		if name, addr, ok := strings.Cut(host, ":"); ok {
			fmt.Fprintf(&b, "%s\t%s\n", strings.Trim(addr, "[]"), name)
		}
	}
	return b.String()
}

// writeHosts brings the hosts files of all members up to date.
func (n *Network) writeHosts() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var others []*Endpoint
	if n.options.Names {
		for _, member := range n.members {
			others = append(others, member)
		}
	}
	var errs []error
	for _, member := range n.members {
		errs = append(errs, member.writeHosts(others))
	}
	return errors.Join(errs...)
}

// writeHosts writes the container's hosts file. It writes into the same file and does
// not replace it: the container holds on to the file, not to its name.
func (e *Endpoint) writeHosts(members []*Endpoint) error {
	var b strings.Builder
	b.WriteString(HostsFile(e.container.Hosts))
	if e.Addr.IsValid() && e.container.Hostname != "" {
		fmt.Fprintf(&b, "%s\t%s\n", e.Addr, e.container.Hostname)
	}
	for _, member := range members {
		for _, name := range member.container.Names {
			fmt.Fprintf(&b, "%s\t%s\n", member.Addr, name)
			if member.Addr6.IsValid() {
				fmt.Fprintf(&b, "%s\t%s\n", member.Addr6, name)
			}
		}
	}
	if err := os.WriteFile(e.HostsFile, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("writing a hosts file: %w", err)
	}
	return nil
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing a hosts file: %w", err)
	}
	return nil
}
