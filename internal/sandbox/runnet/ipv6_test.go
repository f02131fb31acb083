//go:build linux

package runnet

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/acrux/acrux/internal/sandbox/userns"
)

// advertisement is a frame by which a router offers itself and a prefix: RFC 4861, section
// 4.2. What it is from is a link-local address of nobody's.
func advertisement(from netip.Addr) []byte {
	to := netip.MustParseAddr("ff02::1")
	body := []byte{134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0} // for 1800 seconds
	prefix := append([]byte{3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0}, netip.MustParseAddr("2001:db8::").AsSlice()...)
	body = append(body, prefix...)
	header := make([]byte, 8, 40)
	header[0], header[6], header[7] = 0x60, unix.IPPROTO_ICMPV6, 255
	binary.BigEndian.PutUint16(header[4:], uint16(len(body)))
	header = append(append(header, from.AsSlice()...), to.AsSlice()...)
	sum := uint32(len(body) + unix.IPPROTO_ICMPV6)
	for _, part := range [][]byte{header[8:], body} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(body[2:], ^uint16(sum))
	frame := []byte{0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 7, 0x86, 0xdd}
	return append(append(frame, header...), body...)
}

// send puts a frame on a device, as a container with raw sockets can.
func send(t *testing.T, namespace, device string, frame []byte) {
	t.Helper()
	if err := inside(namespace, func() error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index, Halen: 6})
	}); err != nil {
		t.Fatal(err)
	}
}

// received counts the packets of IPv6 that a device has got, and the frames of any kind.
func received(t *testing.T, namespace, device string) (ipv6 string, frames uint64) {
	t.Helper()
	if err := inside(namespace, func() error {
		text, err := os.ReadFile("/proc/thread-self/net/dev_snmp6/" + device)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); fields[0] == "Ip6InReceives" {
				ipv6 = fields[1]
			}
		}
		link, err := netlink.LinkByName(device)
		if err == nil {
			frames = link.Attrs().Statistics.RxPackets
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return ipv6, frames
}

// What a step in a run's router sends to the machine's end of the uplink changes nothing
// there, and reaches nobody.
func TestRouterAdvertisesNothing(t *testing.T) {
	host, _, _, _ := machines(t)
	u, err := openUplink(host, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	m, err := NewManager(filepath.Join(t.TempDir(), "net"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.Open("one", userns.IDs{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	release, err := u.Connect(r)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	device := u.device(0)
	_, before := received(t, host, device)
	for range 3 {
		send(t, r.file, uplinkDevice, advertisement(netip.MustParseAddr("fe80::7")))
	}
	var ipv6 string
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var frames uint64
		if ipv6, frames = received(t, host, device); frames >= before+3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the frames did not arrive at all")
		}
	}
	if ipv6 != "0" {
		t.Errorf("the machine's IPv6 got %s packets from a run", ipv6)
	}
	if err := inside(host, func() error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		addrs, err := netlink.AddrList(link, netlink.FAMILY_V6)
		if err != nil || len(addrs) > 0 {
			return fmt.Errorf("the machine took addresses %v (%w)", addrs, err)
		}
		routes, err := netlink.RouteList(link, netlink.FAMILY_V6)
		if err != nil || len(routes) > 0 {
			return fmt.Errorf("the machine took routes %v (%w)", routes, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// A device of a container has the addresses that its network has, and takes no others.
func TestDevicesHaveNoIPv6Unasked(t *testing.T) {
	_, r := openRouter(t)
	for i, options := range []Options{{}, {IPv6: true}} {
		n, err := r.AddNetwork(options)
		if err != nil {
			t.Fatal(err)
		}
		e, err := join(n, Container{ID: fmt.Sprintf("bbbbbbbbbbb%d", i)})
		if err != nil {
			t.Fatal(err)
		}
		for namespace, device := range map[string]string{r.file: n.bridge.Attrs().Name, e.Namespace: "eth0"} {
			send(t, r.file, n.bridge.Attrs().Name, advertisement(netip.MustParseAddr("fe80::7")))
			if err := inside(namespace, func() error {
				link, err := netlink.LinkByName(device)
				if err != nil {
					return err
				}
				addrs, err := netlink.AddrList(link, netlink.FAMILY_V6)
				if err != nil {
					return err
				}
				for _, addr := range addrs {
					if !options.IPv6 || !addr.IP.IsLinkLocalUnicast() && !n.v6.Contains(netip.MustParseAddr(addr.IP.String())) {
						t.Errorf("IPv6 %v: %s has %s", options.IPv6, device, addr.IP)
					}
				}
				if text, _ := os.ReadFile(filepath.Join(ipv6Settings, device, "accept_ra")); strings.TrimSpace(string(text)) != "0" {
					t.Errorf("IPv6 %v: %s takes routes from whoever offers them", options.IPv6, device)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
