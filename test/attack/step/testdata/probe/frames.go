//go:build linux && amd64

package main

import (
	"fmt"
	"net"
	"strings"

	"golang.org/x/sys/unix"
)

// frames sends a frame of each kind, "NAME=HEX" with commas between, out of every device, to
// everybody.
func frames(list string) {
	links, err := net.Interfaces()
	if err != nil {
		panic(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		panic(err)
	}
	for kind := range strings.SplitSeq(list, ",") {
		var number uint16
		fmt.Sscanf(kind, "%x", &number)
		frame := append([]byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 7, byte(number >> 8), byte(number)}, make([]byte, 64)...)
		for _, link := range links {
			if link.Flags&net.FlagLoopback == 0 {
				if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index, Halen: 6}); err == nil {
					fmt.Printf("sent %s by %s\n", kind, link.Name)
				}
			}
		}
	}
}
