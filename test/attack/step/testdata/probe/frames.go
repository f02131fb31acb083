//go:build linux && amd64

package main

import (
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// connect is an attempt to get a word from "NAME=NETWORK=ADDRESS": only who was spoken to has
// got through, since a redirected connection is made before it is refused.
func connect(target string) attempt {
	parts := strings.Split(target, "=")
	return attempt{parts[0], func() (string, error) {
		conn, err := net.DialTimeout(parts[1], parts[2], 1500*time.Millisecond)
		if err != nil {
			return "", errNothing
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(1500 * time.Millisecond))
		_, _ = conn.Write([]byte("hello\n")) // then there is no answer
		answer := make([]byte, 64)
		n, err := conn.Read(answer)
		if err != nil || n == 0 {
			return "", errNothing
		}
		return string(answer[:n]), nil
	}}
}

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
