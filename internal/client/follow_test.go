package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/arm/problem"
)

// logHost serves a log that grows by one piece with each look, and has its verdict
// after the last.
func logHost(pieces []string, verdict string) http.HandlerFunc {
	text, looks := "", 0
	return func(w http.ResponseWriter, r *http.Request) {
		var from int
		_, _ = fmt.Sscanf(r.Header.Get("x-ms-range"), "bytes=%d-", &from)
		if from >= len(text) && looks < len(pieces) {
			text, looks = text+pieces[looks], looks+1
		}
		if from < len(text) {
			w.WriteHeader(http.StatusPartialContent)
			fmt.Fprint(w, text[from:])
			return
		}
		if looks == len(pieces) {
			w.Header().Set("x-ms-meta-Complete", verdict)
		}
		w.Header().Set("x-ms-error-code", "InvalidRange")
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
	}
}

func TestFollowLog(t *testing.T) {
	tests := []struct {
		name    string
		pieces  []string
		verdict string
		want    string
	}{
		{"whole", []string{"a\r\nb\r\n"}, "successful", "a\nb\n"},
		{"CR and LF apart", []string{"a\r", "\nb\r", "\n"}, "successful", "a\nb\n"},
		{"with pauses", []string{"a\r\n", "", "", "b\r\n"}, "failed", "a\nb\n"},
		{"nothing", nil, "canceled", ""},
		{"progress bars keep their CR", []string{"10%\r", "20%\rdone\r\n"}, "timedout", "10%\r20%\rdone\n"},
		{"a CR at the end", []string{"a\r\nb\r"}, "internalerror", "a\nb\r"},
		{"not ASCII", []string{"gr\xc3", "\xbc\xc3\x9fe \xff\r\n"}, "successful", "grüße \xff\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, logHost(tt.pieces, tt.verdict))
			var out bytes.Buffer
			verdict, err := c.FollowLog(t.Context(), "https://"+host+"/log?sig=1", &out)
			if err != nil || verdict != tt.verdict || out.String() != tt.want {
				t.Errorf("got %q, %q, %v; want %q", verdict, out.String(), err, tt.want)
			}
		})
	}
}

func TestFollowLogErrors(t *testing.T) {
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"refused", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("x-ms-error-code", "AuthenticationFailed")
			w.WriteHeader(403)
		}, "AuthenticationFailed: the log cannot be read"},
		{"the server goes away", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusPartialContent)
			fmt.Fprint(w, "a\r\n")
		}, "broke off"},
		{"the caller leaves", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusPartialContent)
			fmt.Fprint(w, "a\r\n")
			_ = http.NewResponseController(w).Flush() // the client then waits for the rest
			cancel(enough)
			<-r.Context().Done()
		}, "enough"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, tt.handler)
			if _, err := c.FollowLog(ctx, "https://"+host+"/log", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestWait(t *testing.T) {
	tests := []struct {
		name   string
		states []string // bodies of the operation
		want   string   // of the error
		told   string
	}{
		{"at once", []string{`{"status":"Succeeded"}`}, "", ""},
		{"later", []string{`{"status":"InProgress","properties":{"progress":"1 of 2"}}`, `{"status":"InProgress"}`, `{"status":"Succeeded"}`}, "", "1 of 2;;"},
		{"failed", []string{`{"status":"Failed","error":{"code":"ImportFailed","message":"no such image"}}`}, "ImportFailed: no such image", ""},
		{"failed without a reason", []string{`{"status":"Failed"}`}, "OperationFailed: the operation ended as Failed", ""},
		{"canceled", []string{`{"status":"Canceled"}`}, "OperationCanceled: the operation ended as Canceled", ""},
		{"unknown", []string{`{"status":"Sleeping"}`}, "unknown state Sleeping", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			looks := 0
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, tt.states[looks])
				looks++
			})
			started := Response{Status: 202, Header: http.Header{"Azure-Asyncoperation": {"https://" + host + "/operation?api-version=1"}}}
			var told strings.Builder
			err := c.Wait(t.Context(), started, func(text string) { told.WriteString(text + ";") })
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) || told.String() != tt.told {
				t.Errorf("got %v, told %q", err, told.String())
			}
		})
	}
}

func TestWaitForNothing(t *testing.T) {
	c := serve(t, nothing)
	if err := c.Wait(t.Context(), Response{Status: 200}, nil); err != nil {
		t.Errorf("an answer that is final: %v", err)
	}
	if err := c.Wait(t.Context(), Response{Status: 202, Header: http.Header{}}, nil); err == nil {
		t.Error("an operation without a link succeeded")
	}
	elsewhere := Response{Status: 202, Header: http.Header{"Azure-Asyncoperation": {"https://elsewhere.example/x"}}}
	if err := c.Wait(t.Context(), elsewhere, nil); err == nil || problem.Is(err, problem.Unavailable) {
		t.Errorf("an operation on another host: %v", err)
	}
}
