package loginapi

import (
	"errors"
	"net/http"
	"time"

	"github.com/acrux/acrux/internal/access/assertion"
	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/signin"
)

// assertionType is the only one there is (RFC 7523, section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// asserted returns the principal that a client assertion proves a request to be from.
// What proves nothing counts like a wrong secret: each costs a look at certificates, or at
// an issuer's keys.
func (s *Server) asserted(r *http.Request, try signin.Attempt, id identity.ClientID,
	text, audience string) (identity.Principal, error) {
	if typ := r.PostForm.Get("client_assertion_type"); typ != assertionType {
		return identity.Principal{}, badRequest(900144, "The client_assertion_type must be '"+assertionType+"'.")
	}
	p, err := s.Assertions.Verify(r.Context(), id, text, audience, time.Now())
	outcome(r, try, err, identity.ErrNotFound, assertion.ErrInvalid, assertion.ErrExpired, assertion.ErrIssuer,
		assertion.ErrSubject, assertion.ErrAudience)
	if errors.Is(err, assertion.ErrKeys) {
		s.Log.Warn("a federated token was refused", "client", p.ClientID, "err", err)
	}
	return p, s.whyNotAsserted(err, string(id))
}

// numbers are Azure's for why an assertion was not accepted.
var numbers = []struct {
	err    error
	number int
}{
	{assertion.ErrUsed, 700027}, {assertion.ErrExpired, 700024}, {assertion.ErrIssuer, 700211}, {assertion.ErrSubject, 700213},
	{assertion.ErrAudience, 700212}, {assertion.ErrKeys, 50166}, {assertion.ErrInvalid, 700027},
}

func (s *Server) whyNotAsserted(err error, id string) error {
	for _, n := range numbers {
		if !errors.Is(err, n.err) {
			continue
		}
		why := err.Error()
		if n.err == assertion.ErrKeys {
			why = n.err.Error() + "; the server's log says why" // the rest tells of the network
		}
		return refusal{http.StatusUnauthorized, "invalid_client", n.number, why + "."}
	}
	return s.whyNot(err, id)
}
