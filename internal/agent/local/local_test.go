package local

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/internal/tasks/lease"
)

func job(task string) lease.Job {
	return lease.Job{RunID: "local", Step: lease.Step{Kind: lease.EncodedTask, Task: []byte(task), Values: []lease.Value{{Name: "word", Value: "hidden-word", Secret: true}}}}
}

func options(t *testing.T, fake *enginetest.Fake) Options {
	return Options{Root: t.TempDir(), Dialer: &egress.Dialer{}, Executor: fake}
}

// The log is that of a server, with plain ends of lines and without secrets.
func TestRun(t *testing.T) {
	fake := &enginetest.Fake{OnCommand: func(_ context.Context, _ engine.Command, out io.Writer) (engine.CommandResult, error) {
		_, err := io.WriteString(out, "says hidden-word\n")
		return engine.CommandResult{}, err
	}}
	var log bytes.Buffer
	result, err := options(t, fake).Run(t.Context(), job("steps: [{cmd: 'x {{.Values.word}}'}]"), &log)
	if err != nil || result.Status != lease.Succeeded {
		t.Fatal(result, err, log.String())
	}
	if text := log.String(); strings.Contains(text, "\r") || strings.Contains(text, "hidden-word") || !strings.Contains(text, "\nsays ***\n") || !strings.Contains(text, "Run ID: local was successful") {
		t.Errorf("%q", text)
	}
}

// Who interrupts a run has it canceled, and what it made cleaned away.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	fake := &enginetest.Fake{OnCommand: func(ctx context.Context, _ engine.Command, _ io.Writer) (engine.CommandResult, error) {
		cancel()
		<-ctx.Done()
		return engine.CommandResult{}, context.Cause(ctx)
	}}
	var log bytes.Buffer
	result, err := options(t, fake).Run(ctx, job("steps: [{cmd: x}]"), &log)
	if err != nil || result.Status != lease.Canceled {
		t.Fatal(result, err, log.String())
	}
	calls := fake.Scopes()[0].Calls()
	if calls[len(calls)-1] != "close" {
		t.Error(calls)
	}
}

func TestOneAtATime(t *testing.T) {
	o := options(t, nil)
	lock, err := lockDirectory(o.Root)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	o.Executor = &enginetest.Fake{}
	if _, err := o.Run(t.Context(), job("steps: []"), io.Discard); !problem.Is(err, problem.Conflict) {
		t.Errorf("two runs use one directory: %v", err)
	}
}

// A repeat of what is in the log changes nothing, and a gap is an error.
func TestAppendLog(t *testing.T) {
	var log bytes.Buffer
	c := &control{out: &log}
	for _, test := range []struct {
		offset int64
		text   string
		fails  bool
	}{{0, "one\r\n", false}, {0, "one\r\n", false}, {3, "\r\ntwo", false}, {9, "gap", true}, {8, "\rthree\r\n", false}} {
		if err := c.AppendLog(t.Context(), lease.Key{}, test.offset, []byte(test.text)); (err != nil) != test.fails {
			t.Errorf("%v: %v", test, err)
		}
	}
	if log.String() != "one\ntwo\rthree\n" {
		t.Errorf("%q", log.String())
	}
}

// A folder is there for who knows the address, as often as it is asked for, and while the run
// goes on. What cannot be packed is told, and is no short archive.
func TestServe(t *testing.T) {
	packed, broken := 0, errors.New("cannot be read")
	var failed error
	address, closing, err := Serve(Folder{
		Pack: func(_ context.Context, w io.Writer) error {
			if packed++; packed > 2 {
				_, err := io.WriteString(w, strings.Repeat("half", 10_000))
				return errors.Join(err, broken)
			}
			_, err := io.WriteString(w, "content")
			return err
		},
		Failed: func(err error) { failed = err },
	})
	if err != nil {
		t.Fatal(err)
	}
	get := func(url string) (int, string, error) {
		res, err := http.Get(url)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		return res.StatusCode, string(text), err
	}
	for range 2 {
		if code, text, err := get(address); code != 200 || text != "content" || err != nil {
			t.Error(code, text, err)
		}
	}
	if code, _, _ := get(strings.Replace(address, "/context", "/x/context", 1)); code != 404 {
		t.Error(code)
	}
	if _, text, err := get(address); err == nil {
		t.Errorf("half an archive is a whole one: %.20q", text)
	}
	if err := closing(); err != nil {
		t.Error(err)
	}
	if !errors.Is(failed, broken) {
		t.Error(failed)
	}
	if code, _, _ := get(address); code != 0 {
		t.Error("it is served for ever")
	}
}

// Who goes away while a folder is packed is no reason to say that it cannot be.
func TestServeToNobody(t *testing.T) {
	ended := make(chan error, 1)
	address, closing, err := Serve(Folder{
		Pack: func(ctx context.Context, w io.Writer) error {
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					ended <- err
					return err
				}
			}
		},
		Failed: func(err error) { t.Errorf("blamed: %v", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	<-ended
	if err := closing(); err != nil {
		t.Error(err)
	}
}

func TestNoIdentities(t *testing.T) {
	if _, err := (&control{}).Token(t.Context(), lease.Key{}, lease.TokenRequest{}); !strings.Contains(problem.From(err).Message, "no identities") {
		t.Error(err)
	}
}
