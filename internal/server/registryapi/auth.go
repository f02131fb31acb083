package registryapi

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/signin"
	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/registry/repotoken"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/server/edge"
)

// authorize lets a request pass whose token covers what it takes and whose subject
// may still do it.
func (c *call) authorize() error {
	need, needed := c.req.need(c.Method)
	subject, granted, err := c.identify(need)
	if err != nil {
		return err
	}
	c.subject, c.granted = subject, granted
	if !needed {
		return c.stillThere()
	}
	for _, action := range need.Actions {
		err := c.check(subject, action, need.Name)
		if subject.Anonymous() && problem.Is(err, problem.Denied) {
			return c.challenge("insufficient_scope", "nobody has signed in")
		}
		if err != nil {
			return err
		}
	}
	if granted != nil && !covered(granted, need) {
		return c.challenge("insufficient_scope", "the access token does not cover the request")
	}
	return nil
}

func covered(granted []oci.Access, need oci.Access) bool {
	for _, access := range granted {
		if access.Covers(need) {
			return true
		}
	}
	return false
}

// identify finds who is asking. With Basic, and for nobody who only pulls, there is
// no token and so no list of what it covers: granted is nil.
func (c *call) identify(need oci.Access) (subject token.Subject, granted []oci.Access, err error) {
	head := c.Header.Get("Authorization")
	if text, ok := strings.CutPrefix(head, "Bearer "); ok {
		subject, granted, err = c.server.Issuer.VerifyAccess(c.Context(), text, c.name)
		if granted == nil {
			granted = []oci.Access{}
		}
		if err != nil && !token.Refused(err) {
			return subject, nil, err
		}
		if err != nil {
			return subject, nil, c.challenge("invalid_token", err.Error())
		}
		edge.SignedIn(c.Context())
		return subject, granted, nil
	}
	if user, password, ok := c.BasicAuth(); ok {
		subject, err := c.login(user, password)
		return subject, nil, err
	}
	if head == "" && c.openToNobody(need) {
		return subject, nil, nil
	}
	return subject, nil, c.challenge("", "")
}

// demand sets the header that says how to authenticate, and for what: what the request
// takes, and what it takes to mount a blob if it asks for that.
func (c *call) demand(code string) {
	text := fmt.Sprintf(`Bearer realm="https://%s/oauth2/token",service="%s"`, c.host, c.host)
	if need, ok := c.req.need(c.Method); ok {
		scope := need.String()
		if source, ok := c.mountSource(); ok {
			scope += " " + source.String() // not every client asks twice
		}
		text += fmt.Sprintf(`,scope="%s"`, scope)
	}
	if code != "" && c.req.Kind != base {
		text += fmt.Sprintf(`,error="%s"`, code)
	}
	c.w.Header().Set("WWW-Authenticate", text)
}

// mountSource is the access to the repository that a request wants to mount a blob from.
func (c *call) mountSource() (oci.Access, bool) {
	if c.req.Kind != uploadStart {
		return oci.Access{}, false
	}
	q := c.URL.Query()
	from := q.Get("from")
	return oci.RepositoryAccess(from, oci.Pull), q.Get("mount") != "" && oci.ValidRepository(from)
}

// challenge is the answer to who has not said who he is, distribution's token
// specification. On /v2/ it names no scope: the stock CLI reads it word by word.
func (c *call) challenge(code, reason string) error {
	c.demand(code)
	p := problem.New(problem.Unauthenticated, "UNAUTHORIZED", "authentication required, visit https://aka.ms/acr/authorization for more information.")
	if reason != "" {
		p.Because(errors.New(reason))
	}
	return p
}

// login finds who signs in with a user name and a password: a refresh token, the
// admin user's, a repository-scoped token's, or a service principal's client ID and
// secret. Wrong passwords are counted.
func (c *call) login(user, password string) (token.Subject, error) {
	if user == oci.RefreshUser {
		return c.refresh(password)
	}
	try, ok := c.server.Guesses.Try(c.account(user), edge.Address(c.RemoteAddr), c.now)
	if !ok {
		return token.Subject{}, c.tooManyGuesses()
	}
	subject, err := c.loginAs(user, password)
	switch {
	case err == nil:
		try.Right()
		edge.SignedIn(c.Context())
	case errors.Is(err, identity.ErrNotFound), errors.Is(err, identity.ErrWrongSecret):
		try.Wrong()
	default:
		try.Neither()
	}
	return subject, err
}

// account is whose password a user name has.
func (c *call) account(user string) signin.Account {
	if strings.EqualFold(user, c.name) || repotoken.CanName(user) {
		return signin.InRegistry(c.name, user)
	}
	return signin.Program(identity.ClientID(user))
}

func (c *call) tooManyGuesses() error {
	c.server.Log.Warn("too many attempts to sign in", "registry", c.name, "from", c.RemoteAddr)
	c.w.Header().Set("Retry-After", strconv.Itoa(int(signin.GuessAgain.Seconds())))
	return problem.New(problem.Limited, "TOOMANYREQUESTS", "there were too many attempts to sign in with a wrong password")
}

func (c *call) loginAs(user, password string) (token.Subject, error) {
	if strings.EqualFold(user, c.name) {
		return c.loginAdmin(password)
	}
	if repotoken.CanName(user) {
		return c.loginToken(user, password)
	}
	p, err := c.server.Directory.Authenticate(c.Context(), identity.ClientID(user), secret.New(password))
	if errors.Is(err, identity.ErrNotFound) || errors.Is(err, identity.ErrWrongSecret) {
		return token.Subject{}, wrongPassword().Because(err)
	}
	return token.Subject{Principal: p.ObjectID}, err
}

func wrongPassword() *problem.Error {
	return problem.New(problem.Unauthenticated, "UNAUTHORIZED", "the user name or the password is wrong").Because(identity.ErrWrongSecret)
}

func (c *call) refresh(text string) (token.Subject, error) {
	subject, err := c.server.Issuer.VerifyRefresh(c.Context(), text, c.name)
	if token.Refused(err) {
		return subject, problem.New(problem.Unauthenticated, "UNAUTHORIZED", "the refresh token is not valid for this registry: %v", err).Because(err)
	}
	if err != nil {
		return subject, err
	}
	edge.SignedIn(c.Context())
	return subject, nil
}

// maxForm bounds the body of a token request, in bytes.
const maxForm = 64 << 10

func (c *call) form() error {
	if c.Method != http.MethodPost {
		return problem.New(problem.NotAllowed, "UNSUPPORTED", "the operation is unsupported")
	}
	c.Body = http.MaxBytesReader(c.w, c.Body, maxForm)
	if err := c.ParseForm(); err != nil {
		return problem.New(problem.Invalid, "INVALID_REQUEST", "the request body is not a form").Because(err)
	}
	return nil
}

// exchange gives a refresh token for an identity token, or for what one signs in
// with. Who may do nothing at all with this registry gets none, and is told what is
// missing.
func (c *call) exchange() error {
	if err := c.form(); err != nil {
		return err
	}
	subject, err := c.exchangeRequest()
	if err != nil {
		return err
	}
	if err := c.limit(subject); err != nil {
		return err
	}
	if err := c.stillSomebody(subject); err != nil {
		return err
	}
	if err := c.mayAnything(subject); err != nil {
		return err
	}
	text, err := c.server.Issuer.Refresh(c.name, subject, c.now, token.RefreshTTL)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, map[string]string{"refresh_token": text})
}

// exchangeRequest finds who asks for a refresh token. A refresh token of a registry
// is not changed for another one: it would never end.
func (c *call) exchangeRequest() (token.Subject, error) {
	form := c.PostForm
	if err := c.checkTarget(form.Get("service"), form.Get("tenant")); err != nil {
		return token.Subject{}, err
	}
	switch grant := form.Get("grant_type"); {
	case grant == "access_token", grant == "access_token_refresh_token", grant == "refresh_token" && form.Get("access_token") != "":
		caller, err := c.server.Issuer.VerifyIdentity(c.Context(), form.Get("access_token"), c.server.Audiences)
		if token.Refused(err) {
			err = problem.New(problem.Unauthenticated, "UNAUTHORIZED", "the access token is not valid here: %v", err).Because(err)
		}
		return token.Subject{Principal: caller.ObjectID, Within: caller.Within}, err
	case grant == "refresh_token":
		return token.Subject{}, problem.New(problem.Unsupported, "UNSUPPORTED", "exchanging a refresh token of the directory is not available in this version of Acrux").
			Hint("send grant_type=access_token with an access token of the directory")
	case grant == "password":
		return c.login(form.Get("username"), form.Get("password"))
	default:
		return token.Subject{}, problem.New(problem.Invalid, "UNSUPPORTED_GRANT_TYPE", "the grant type %q is not available", grant)
	}
}

// anyTenant are the words that stand for whatever tenant it is.
var anyTenant = []string{"", "adfs", "common", "organizations"}

// checkTarget refuses a token request that was meant for another registry or tenant.
func (c *call) checkTarget(service, tenant string) error {
	server := c.server.Registries.LoginServer(c.name)
	bare, _, _ := strings.Cut(server, ":")
	meant, err := c.server.Registries.ByHost(c.Context(), service)
	if err != nil && !errors.Is(err, resource.ErrNotFound) {
		return err
	}
	if service != "" && !strings.EqualFold(service, bare) && (err != nil || meant.ID.Key() != c.resource.ID.Key()) {
		return problem.New(problem.Invalid, "INVALID_REQUEST", "the service %q is not this registry, which is %s", service, server).On("service")
	}
	if !slices.Contains(anyTenant, strings.ToLower(tenant)) && !strings.EqualFold(tenant, c.server.Issuer.TenantID) {
		return problem.New(problem.Unauthenticated, "UNAUTHORIZED", "the tenant %q is not the one of this registry, which is %s", tenant, c.server.Issuer.TenantID).On("tenant")
	}
	return nil
}

// mayAnything returns the denial of pulling if the subject may do nothing here. A
// repository-scoped token may at least sign in.
func (c *call) mayAnything(subject token.Subject) error {
	if subject.Token != "" {
		_, err := c.scoped(subject)
		return err
	}
	for action := range rbacActions {
		err := c.check(subject, action, "")
		if err == nil || !problem.Is(err, problem.Denied) {
			return err
		}
	}
	return c.check(subject, oci.Pull, "")
}

// token gives an access token: GET with Basic, or POST with a refresh token or a
// password. What is asked for and not allowed is left out; the request that needs it
// is refused later, with the reason.
func (c *call) token() error {
	subject, scopes, err := c.tokenRequest()
	if err != nil {
		return err
	}
	if err := c.limit(subject); err != nil {
		return err
	}
	if err := c.stillSomebody(subject); err != nil {
		return err
	}
	granted, err := c.grant(subject, oci.ParseAccess(scopes))
	if err != nil {
		return err
	}
	text, err := c.server.Issuer.Access(c.name, subject, granted, c.now)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, map[string]any{"access_token": text, "token": text, "expires_in": int(token.AccessTTL.Seconds()),
		"issued_at": c.now.UTC().Format("2006-01-02T15:04:05Z")})
}

func (c *call) tokenRequest() (subject token.Subject, scopes []string, err error) {
	if c.Method == http.MethodGet {
		query := c.URL.Query()
		if err := c.checkTarget(query.Get("service"), ""); err != nil {
			return subject, nil, err
		}
		subject, err = c.headed()
		return subject, query["scope"], err
	}
	if err := c.form(); err != nil {
		return subject, nil, err
	}
	if err := c.checkTarget(c.PostForm.Get("service"), c.PostForm.Get("tenant")); err != nil {
		return subject, nil, err
	}
	switch grant := c.PostForm.Get("grant_type"); {
	case (grant == "refresh_token" || grant == "password") && c.formOfNobody():
		subject, err = c.headed()
	case grant == "refresh_token":
		subject, err = c.refresh(c.PostForm.Get("refresh_token"))
	case grant == "password":
		subject, err = c.login(c.PostForm.Get("username"), c.PostForm.Get("password"))
	default:
		err = problem.New(problem.Invalid, "UNSUPPORTED_GRANT_TYPE", "the grant type %q is not available", grant)
	}
	return subject, c.PostForm["scope"], err
}

// headed finds who asks for a token by the header, which may have nobody in it.
func (c *call) headed() (subject token.Subject, err error) {
	user, password, ok := c.BasicAuth()
	switch {
	case ok:
		return c.login(user, password)
	case c.Header.Get("Authorization") != "" || !c.resource.Properties.AnonymousPullEnabled:
		return subject, errNoCredential
	}
	return subject, nil
}

// formOfNobody reports whether a form names neither a user nor a token.
func (c *call) formOfNobody() bool {
	return c.PostForm.Get("username") == "" && c.PostForm.Get("password") == "" && c.PostForm.Get("refresh_token") == ""
}

var errNoCredential = problem.New(problem.Unauthenticated, "UNAUTHORIZED", "authentication required: this registry does not allow anonymous access")

// grant keeps of what is asked for what is allowed now. What differs between repositories
// is asked for each of them, everything else once.
func (c *call) grant(subject token.Subject, asked []oci.Access) ([]oci.Access, error) {
	granted := []oci.Access{}
	type question struct {
		on     string
		action oci.Action
	}
	verdicts := map[question]error{}
	for _, access := range asked {
		var allowed []oci.Action
		for _, action := range access.Actions {
			if !grantable(access, action) {
				continue
			}
			q := question{action: action}
			if subject.Token != "" {
				q.on = access.Name
			}
			verdict, known := verdicts[q]
			if !known {
				verdict = c.check(subject, action, q.on)
				verdicts[q] = verdict
			}
			if verdict == nil {
				allowed = append(allowed, action)
			} else if !problem.Is(verdict, problem.Denied) {
				return nil, verdict
			}
		}
		if len(allowed) > 0 {
			granted = append(granted, oci.Access{Type: access.Type, Name: access.Name, Actions: allowed})
		}
	}
	return granted, nil
}

// grantable reports whether there is such a thing: one of the catalogues of the registry,
// or something in a repository.
func grantable(access oci.Access, action oci.Action) bool {
	if action == oci.Catalog {
		return access.Type == "registry" && (access.Name == "catalog" || access.Name == "deleted_catalog")
	}
	return access.Type == "repository" && (oci.ValidRepository(access.Name) || access.Name == oci.AnyRepository)
}
