//go:build linux && amd64

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// request is one to send, answer what came back. The test that sends them has the same.
type request struct {
	Name, Method, Path, Body, Host string
	Header                         map[string]string
	Repeat                         int // how often the body is sent, one after the other
}

type answer struct {
	Name, Body string
	Status     int
}

// ask sends the requests in a file to an address, "unix:PATH" or "tcp:HOST:PORT", each on a
// connection of its own, and writes the answers beside it.
func ask(address, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	var all []request
	if err := json.Unmarshal(text, &all); err != nil {
		panic(err)
	}
	network, at, _ := strings.Cut(address, ":")
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, at)
		}}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var answers []answer
	var made struct{ Id string } // by the last request that made something
	for _, one := range all {
		one.Path = strings.ReplaceAll(one.Path, "{made}", made.Id)
		status, body := send(client, one)
		if status == http.StatusCreated {
			_ = json.Unmarshal([]byte(body), &made) // what has none stays what it was
		}
		answers = append(answers, answer{one.Name, body, status})
	}
	if text, err = json.Marshal(answers); err != nil {
		panic(err)
	}
	if err := os.WriteFile(file+".answers", text, 0o644); err != nil {
		panic(err)
	}
}

func send(client *http.Client, one request) (int, string) {
	body := strings.NewReader(strings.Repeat(one.Body, max(1, one.Repeat)))
	r, err := http.NewRequest(one.Method, "http://docker/", body)
	if err != nil {
		return 0, err.Error()
	}
	path, query, _ := strings.Cut(one.Path, "?")
	r.URL = &url.URL{Scheme: "http", Host: "docker", Opaque: path, RawQuery: query} // as it is written
	for name, value := range one.Header {
		r.Header.Set(name, value)
	}
	if one.Host != "" {
		r.Host = one.Host
	}
	response, err := client.Do(r)
	if err != nil {
		return 0, fmt.Sprint(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10)) // a stream may break off
	return response.StatusCode, string(text)
}
