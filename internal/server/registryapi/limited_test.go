package registryapi_test

import (
	"log/slog"
	"strconv"
	"testing"

	"github.com/acrux/acrux/internal/access/signin"
	"github.com/acrux/acrux/internal/server/edge"
	"github.com/acrux/acrux/internal/server/registryapi"
	"github.com/acrux/acrux/internal/server/servertest"
)

// Who asks too often is told when to come back; others are not, and without a name nothing
// is counted.
func TestTooManyRequests(t *testing.T) {
	w := servertest.New(t)
	limiter, err := registryapi.NewLimiter("basic")
	must(t, err)
	*w.Router = edge.Router{Log: slog.New(slog.DiscardHandler)}
	w.Router.Below("azurecr."+servertest.Domain, &registryapi.Server{Log: slog.New(slog.DiscardHandler), Registries: w.Registries, Content: w.Content, Issuer: w.Issuer,
		Checker: w.Checker, Directory: w.Directory, Runs: w.Runs, Tokens: w.Tokens, Guesses: signin.NewGuesses(), Limiter: limiter})
	r, other := of(w, "myregistry", w.Admin), of(w, "myregistry", w.Person("other", "AcrPull", w.Registry))
	path := "/v2/hello/referrers/" + digestOf("x")
	for i := range 300 {
		want(t, r.send("GET", path, "", "Authorization", basic("nobody"+strconv.Itoa(i), "y")), 401, "UNAUTHORIZED")
	}
	n := 0
	a := r.send("GET", path, "")
	for ; a.Status == 200; a = r.send("GET", path, "") {
		n++
	}
	want(t, a, 429, "TOOMANYREQUESTS")
	wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
	if err != nil || wait < 1 || wait > 60 || n < 250 { // more if a minute ended
		t.Errorf("after %d requests: Retry-After %s", n, a.Header.Get("Retry-After"))
	}
	want(t, r.send("GET", "/v2/", ""), 200, "")
	want(t, other.send("GET", path, ""), 200, "")
}
