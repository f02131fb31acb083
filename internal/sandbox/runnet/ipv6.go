//go:build linux

package runnet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ipv6Settings is where the kernel keeps them, a directory for each device, and one named
// default for devices to come.
const ipv6Settings = "/proc/sys/net/ipv6/conf"

// refuseIPv6 switches IPv6 off, in the namespace of the calling thread, for a device or for
// all to come ("default"). A device takes addresses and routes from whoever is at its other
// end as soon as it is up, so it is called before that.
func refuseIPv6(device string) error { return ipv6(device, "disable_ipv6", "1") }

// allowIPv6 gives a device IPv6 with the addresses that we set, and none that others offer.
func allowIPv6(device string) error { return ipv6(device, "disable_ipv6", "0") }

func ipv6(device, name, value string) error {
	settings := [][2]string{{"accept_ra", "0"}, {"accept_redirects", "0"}, {"autoconf", "0"}, {name, value}}
	for _, setting := range settings {
		file := filepath.Join(ipv6Settings, device, setting[0])
		err := os.WriteFile(file, []byte(setting[1]), 0)
		if errors.Is(err, os.ErrNotExist) {
			return nil // a kernel without IPv6
		}
		if err != nil {
			return fmt.Errorf("setting IPv6 of network device %s: %w", device, err)
		}
	}
	return nil
}
