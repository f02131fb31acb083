package agent

import (
	"fmt"
	"net/http"
	"testing"
)

// exchanges gives a refresh token for one token of an identity.
func exchanges(t *testing.T, token, refresh string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if got := r.UserAgent(); got != userAgent {
			t.Errorf("user agent %q", got)
		}
		if r.FormValue("grant_type") != "access_token" || r.FormValue("access_token") != token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"refresh_token":%q}`, refresh)
	}
}
