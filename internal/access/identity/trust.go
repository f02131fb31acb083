package identity

import (
	"context"
	"net/url"
	"regexp"

	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/arm/problem"
)

var trustName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{2,119}$`)

// maxTrustText bounds the texts of a federated credential, in bytes.
const maxTrustText = 600

// check judges a federated credential; code is that of the error. Its issuer is dialed
// one day, so it is a plain https URL.
func (t Trust) check(code string) error {
	bad := func(member, format string, args ...any) error {
		return problem.New(problem.Invalid, code, format, args...).On(member)
	}
	issuer, err := url.Parse(t.Issuer)
	switch {
	case !trustName.MatchString(t.Name):
		return bad("name", "The name '%s' of a federated credential must have 3 to 120 letters, digits, '-' and '_' and begin with a letter or digit.", t.Name)
	case err != nil || issuer.Scheme != "https" || issuer.Host == "" || issuer.User != nil || issuer.RawQuery != "" || issuer.Fragment != "" || len(t.Issuer) > maxTrustText:
		return bad("issuer", "The issuer '%s' of a federated credential must be an https URL without query and fragment.", t.Issuer)
	case t.Subject == "" || len(t.Subject) > maxTrustText:
		return bad("subject", "The subject of a federated credential must have 1 to %d bytes.", maxTrustText)
	case len(t.Audiences) != 1 || t.Audiences[0] == "" || len(t.Audiences[0]) > maxTrustText:
		return bad("audiences", "A federated credential has exactly one audience, usually 'api://AzureADTokenExchange'.")
	case len(t.Description) > maxTrustText:
		return bad("description", "The description of a federated credential must have at most %d bytes.", maxTrustText)
	}
	return nil
}

// AddTrust gives an application a federated credential; ErrExists if it has one with the
// name, or with the issuer and subject.
func (d *Directory) AddTrust(ctx context.Context, id ClientID, t Trust) (Trust, error) {
	t.ID = uuid.NewString()
	return t, d.InTx(ctx, func(ctx context.Context) error {
		all, err := d.Trusts(ctx, id)
		if err != nil {
			return err
		}
		if len(all) >= MaxCredentials {
			return tooManyTrusts(directoryCode)
		}
		return d.SetTrust(ctx, id, t)
	})
}

// directoryCode is how the directory calls what is wrong with a request.
const directoryCode = "Request_BadRequest"

func tooManyTrusts(code string) error {
	return problem.New(problem.Invalid, code, "There are %d federated credentials already, which is the most there may be.", MaxCredentials)
}

// SetTrust changes a federated credential of an application.
func (d *Directory) SetTrust(ctx context.Context, id ClientID, t Trust) error {
	if err := t.check(directoryCode); err != nil {
		return err
	}
	return d.PutTrust(ctx, id, t)
}
