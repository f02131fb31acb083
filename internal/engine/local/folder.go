package local

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"os"
	"time"
)

// Serve makes an archive available to a run, on loopback, under an address that nobody can
// guess. The archive is served until close is called.
func Serve(archive *os.File) (url string, closing func() error, err error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	path := "/" + rand.Text() + "/context.tar"
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
			http.NotFound(w, r)
			return
		}
		content, err := os.Open(archive.Name())
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer content.Close()
		http.ServeContent(w, r, "context.tar", time.Time{}, content)
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	return "http://" + l.Addr().String() + path, func() error {
		err := server.Close()
		if end := <-served; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
		return err
	}, nil
}
