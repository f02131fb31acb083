package edge_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/server/edge"
)

func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
}

func router() *edge.Router {
	r := &edge.Router{Log: slog.New(slog.DiscardHandler)}
	r.Host("Management.acrux.test", says("management"))
	r.Below("azurecr.acrux.test", says("registry"))
	r.Below("azurecr.io", says("registry"))
	r.Below("vault.acrux.test", edge.Absent("Key vaults"))
	r.Host("panics.acrux.test", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret detail") }))
	r.Host("late.acrux.test", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot); panic("late") }))
	return r
}

func TestHosts(t *testing.T) {
	r := router()
	for _, test := range []struct {
		host, body string
		status     int
	}{
		{"management.acrux.test", "management", 200},
		{"MANAGEMENT.acrux.test:8443", "management", 200},
		{"reg.azurecr.acrux.test:8443", "registry", 200},
		{"reg.azurecr.io", "registry", 200},
		{"mine.vault.acrux.test:8443", `"NotImplemented","message":"Key vaults are not available`, 501},
		{"vault.acrux.test", "UnknownHost", 404},
		{"a.reg.azurecr.io", "UnknownHost", 404},
		{"azurecr.io", "UnknownHost", 404},
		{".azurecr.io", "UnknownHost", 404},
		{"evilazurecr.io", "UnknownHost", 404},
		{"127.0.0.1:8443", "UnknownHost", 404},
		{"", "UnknownHost", 404},
		{"panics.acrux.test", "InternalServerError", 500},
		{"late.acrux.test", "", 418},
	} {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Host = test.host
		req.Header.Set("x-ms-client-request-id", "mine")
		res := httptest.NewRecorder()
		r.ServeHTTP(res, req)
		if res.Code != test.status || !strings.Contains(res.Body.String(), test.body) || strings.Contains(res.Body.String(), "secret") {
			t.Errorf("%q: %d %s", test.host, res.Code, res.Body)
		}
		id := res.Header().Get("x-ms-request-id")
		if len(id) != 36 || res.Header().Get("x-ms-correlation-request-id") != id || res.Header().Get("x-ms-client-request-id") != "mine" {
			t.Errorf("%q: the headers are %v", test.host, res.Header())
		}
	}
}

// A handler that gives up on its answer on purpose is not answered for.
func TestAbort(t *testing.T) {
	r := router()
	r.Host("aborts.acrux.test", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("the panic is %v", p)
		}
	}()
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Host = "aborts.acrux.test"
	r.ServeHTTP(httptest.NewRecorder(), req)
}
