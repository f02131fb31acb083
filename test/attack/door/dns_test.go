package door_test

import (
	"encoding/binary"
	"net"
	"strings"
	"sync/atomic"
)

// turning is a name that means another address each time: one that is allowed, and then
// loopback.
const turning = "turning.example"

// serveNames answers for the names that are not in the file of hosts: there are none, but
// for the one that turns, and those that end in localhost.
func serveNames() error {
	conn, err := net.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		return err
	}
	go func() {
		var asked atomic.Int64
		query := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				return // the program ends
			}
			if answer := answerName(query[:n], &asked); answer != nil {
				_, _ = conn.WriteTo(answer, from) // who asked asks again
			}
		}
	}()
	return nil
}

// header is how long the header of a DNS message is (RFC 1035, section 4.1.1).
const header = 12

// answerName answers a query with one question.
func answerName(query []byte, asked *atomic.Int64) []byte {
	name, end := question(query)
	if end == 0 {
		return nil
	}
	answer := append([]byte(nil), query[:end]...)
	answer[2], answer[3] = 0x81, 0x80
	copy(answer[6:header], make([]byte, 6)) // no answers, and no EDNS
	address := net.IPv4(127, 0, 0, 1)
	known := name == turning || strings.HasSuffix(name, "localhost")
	if !known {
		answer[3] |= 3 // there is no such name
		return answer
	}
	if binary.BigEndian.Uint16(query[end-4:]) != 1 {
		return answer // but no address of that kind
	}
	if name == turning && asked.Add(1)%2 == 1 {
		address = net.IPv4(127, 0, 0, 2)
	}
	answer[7] = 1
	answer = append(answer, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
	return append(answer, address.To4()...)
}

// question reads the name that is asked for, and where the question ends.
func question(query []byte) (name string, end int) {
	var labels []string
	for at := header; at < len(query); {
		n := int(query[at])
		if n == 0 {
			return strings.ToLower(strings.Join(labels, ".")), at + 5
		}
		if n > 63 || at+1+n+5 > len(query) {
			break
		}
		labels = append(labels, string(query[at+1:at+1+n]))
		at += 1 + n
	}
	return "", 0
}
