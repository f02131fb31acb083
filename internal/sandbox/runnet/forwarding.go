//go:build linux

package runnet

import (
	"fmt"
	"os"
	"strings"

	"github.com/google/nftables"
)

// forwarding is whether the kernel passes packets on that are not for it.
const forwarding = "/proc/sys/net/ipv4/ip_forward"

// forwardTable is there while the machine forwards packets because of us, be it this
// process or another one. It keeps the machine from passing on anything but what runs send
// and get: whoever was no router is none now.
const forwardTable = "acruxforward"

// uplinkPrefix begins the names of the tables and devices of all uplinks.
const uplinkPrefix = "acx"

// startForwarding switches the forwarding of packets on, in the namespace of the calling
// thread. Where it was on already, by whomever, what is forwarded is their business.
func startForwarding() error {
	now, err := os.ReadFile(forwarding)
	if err != nil {
		return fmt.Errorf("reading whether the machine forwards packets: %w", err)
	}
	if strings.TrimSpace(string(now)) == "1" {
		return nil
	}
	// The rule comes first: no moment is without it.
	if err := rulesHere(nftables.TableFamilyINet, forwardTable, func(c *nftables.Conn, table *nftables.Table) {
		forward := chain(c, table, "forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)
		add(c, forward, notIn(uplinkPrefix), notTo(uplinkPrefix), drop)
	}); err != nil {
		return err
	}
	return setForwarding("1")
}

// setForwarding switches forwarding on, by "1", or off, by "0", in the namespace of the
// calling thread.
func setForwarding(value string) error {
	if err := os.WriteFile(forwarding, []byte(value), 0); err != nil {
		return fmt.Errorf("setting whether packets are forwarded: %w", err)
	}
	return nil
}

// stopForwarding switches it off again if it is on because of us, and no other uplink is
// left that needs it.
func stopForwarding() error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("opening the packet filter: %w", err)
	}
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return fmt.Errorf("listing the tables of the packet filter: %w", err)
	}
	ours := false
	for _, table := range tables {
		if strings.HasPrefix(table.Name, uplinkPrefix) {
			return nil
		}
		ours = ours || table.Name == forwardTable
	}
	if !ours {
		return nil
	}
	if err := setForwarding("0"); err != nil {
		return err
	}
	return rulesHere(nftables.TableFamilyINet, forwardTable, nil)
}
