package local

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// Folder is a folder of this machine that a run gets.
type Folder struct {
	// Pack writes it as an archive, until ctx ends. It is called for each download, so that
	// nothing of the archive lies on a disk.
	Pack func(ctx context.Context, w io.Writer) error
	// Failed is told why it could not be packed.
	Failed func(error)
}

// Serve makes a folder available to a run, on loopback, under an address that nobody can
// guess, until close is called.
func Serve(folder Folder) (url string, closing func() error, err error) {
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
		to := &download{w: w}
		err := folder.Pack(r.Context(), to)
		if err == nil {
			return
		}
		if to.broken == nil && r.Context().Err() == nil {
			folder.Failed(err)
		}
		panic(http.ErrAbortHandler) // an end without one of the archive, which a client notices
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

// download remembers whether its receiver has gone.
type download struct {
	w      io.Writer
	broken error
}

func (d *download) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	if err != nil {
		d.broken = err
	}
	return n, err
}
