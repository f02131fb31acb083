package door_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// door is a place where a token opens something.
type door struct {
	name string
	good string // a token that opens it
	try  func(t *testing.T, token string) answer
	// forged is what a token is answered that is not genuine or not for this; expired is
	// for one that was good once, and nothing for none.
	forged, expired, nothing refusal
}

var (
	noToken       = refusal{401, "AuthenticationFailed", "The 'Authorization' header is missing."}
	emptyToken    = refusal{401, "InvalidAuthenticationToken", "Access token is empty."}
	notManagement = refusal{401, "InvalidAuthenticationToken", "The access token is invalid."}
	notDirectory  = refusal{401, "InvalidAuthenticationToken", "Access token validation failure."}
	notRegistry   = refusal{401, "UNAUTHORIZED", "authentication required"}
	nobody        = refusal{401, "UNAUTHORIZED", "this registry does not allow anonymous access"}
	notRefresh    = refusal{401, "UNAUTHORIZED", "the refresh token is not valid for this registry"}
	notExchanged  = refusal{401, "UNAUTHORIZED", "the access token is not valid here"}
	notAsserted   = refusal{401, "invalid_client",
		"AADSTS700"} // which of the reasons depends on what is looked at first
)

// doors are all places that take tokens of this installation.
func doors(t *testing.T, w *world) []door {
	t.Helper()
	p := w.newOne(t, "visitor", "Contributor", w.group(group1))
	refresh := p.refresh(t, first)
	read := func(t *testing.T, authorization string) answer {
		t.Helper()
		return w.v2(t, first, authorization, "GET", "/v2/app/manifests/1", "")
	}
	return []door{
		{"management", p.armToken(t), func(t *testing.T, token string) answer {
			return w.armAs(t, token, "GET", w.registry(group1, first), "")
		}, notManagement, refusal{401, "ExpiredAuthenticationToken", "expired"}, noToken},
		{"directory", p.graphToken(t), func(t *testing.T, token string) answer {
			return w.do(t, ask{"GET", w.Published.URL("graph") + "/v1.0/servicePrincipals/" + p.objectID,
				[]string{"Authorization", bearer(token)}, ""})
		}, notDirectory, refusal{401, "InvalidAuthenticationToken", "Lifetime validation failed"}, emptyToken},
		{"registry", p.access(t, first, "repository:app:pull"), func(t *testing.T, token string) answer {
			return read(t, bearer(token))
		}, notRegistry, notRegistry, notRegistry},
		{"registry with a password", refresh, func(t *testing.T, token string) answer {
			return read(t, basic(refresher, token))
		}, notRefresh, notRefresh, notRefresh},
		{"access tokens", refresh, func(t *testing.T, token string) answer {
			return w.askAccess(t, first, token, "repository:app:pull")
		}, notRefresh, notRefresh, nobody},
		{"exchange", p.armToken(t), func(t *testing.T, token string) answer {
			return w.form(t, w.at(first, "/oauth2/exchange"), "grant_type", "access_token", "service",
				w.login(first), "access_token", token)
		}, notExchanged, notExchanged, notExchanged},
		w.assertionDoor(t, p),
	}
}

// assertionDoor is the sign-in with a token of an issuer that the principal trusts, which
// is this installation here.
func (w *world) assertionDoor(t *testing.T, subject *person) door {
	t.Helper()
	const audience = "api://AzureADTokenExchange"
	p := w.newOne(t, "trusting", "Reader", w.group(group1))
	w.graph(t, w.admin, "POST", "/applications/"+p.appID+"/federatedIdentityCredentials", fmt.Sprintf(
		`{"name":"own","issuer":"%s/%s/","subject":"%s","audiences":["%s"]}`, w.Published.URL("login"),
		w.Published.TenantID, subject.objectID, audience)).ok(t)
	return door{"assertions", subject.token(t, audience), func(t *testing.T, token string) answer {
		return w.form(t, w.tokenURL(), "grant_type", "client_credentials", "client_id", p.clientID, "scope",
			w.Published.URL("management")+"/.default",
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion",
			token)
	}, notAsserted, refusal{401, "invalid_client", "AADSTS700024"},
		refusal{401, "invalid_client", "Invalid client secret provided."}}
}

// forgery bends a good token.
type forgery struct {
	name string
	make func(f *forger, good string) string
}

// forgeries are what somebody without the server's key can make.
var forgeries = []forgery{
	{"a word", func(*forger, string) string { return "token" }},
	{"three dots", func(*forger, string) string { return "..." }},
	{"algorithm none", func(_ *forger, good string) string {
		h, c, _ := open(good)
		return unsigned(h.with(fields{"alg": "none"}), c) + "."
	}},
	{"algorithm nOnE with the old signature", func(_ *forger, good string) string {
		h, c, s := open(good)
		return unsigned(h.with(fields{"alg": "nOnE"}), c) + "." + encoded(s)
	}},
	{"no algorithm", func(_ *forger, good string) string {
		h, c, _ := open(good)
		return unsigned(h.with(fields{"alg": nil}), c) + "."
	}},
	{"a key of one's own under the server's name", func(f *forger, good string) string {
		h, c, _ := open(good)
		return signES256(unsigned(h, c), f.own)
	}},
	{"RS256 with a key of one's own", func(f *forger, good string) string {
		h, c, _ := open(good)
		return signRS256(unsigned(h.with(fields{"alg": "RS256"}), c), f.rsa)
	}},
	{"HS256 with the public key as JWKS has it", func(f *forger, good string) string {
		h, c, _ := open(good)
		return signHS256(unsigned(h.with(fields{"alg": "HS256"}), c), point(f.real))
	}},
	{"HS256 with the public key in PEM", func(f *forger, good string) string {
		h, c, _ := open(good)
		return signHS256(unsigned(h.with(fields{"alg": "HS256"}), c), pemOf(f.real))
	}},
	{"HS256 with an empty key", func(_ *forger, good string) string {
		h, c, _ := open(good)
		return signHS256(unsigned(h.with(fields{"alg": "HS256", "kid": "../../../../dev/null"}), c), nil)
	}},
	{"an unknown kid", func(f *forger, good string) string {
		h, c, _ := open(good)
		return signES256(unsigned(h.with(fields{"kid": "6f3c1c1e-0000-4000-8000-000000000000"}), c), f.own)
	}},
	{"no kid", func(f *forger, good string) string {
		h, c, _ := open(good)
		return signES256(unsigned(h.with(fields{"kid": nil}), c), f.own)
	}},
	{"a kid that is a path", func(f *forger, good string) string {
		h, c, _ := open(good)
		return signES256(unsigned(h.with(fields{"kid": "../keys/master.key"}), c), f.own)
	}},
	{"a kid that is a query", func(f *forger, good string) string {
		h, c, _ := open(good)
		return signES256(unsigned(h.with(fields{"kid": "x' OR '1'='1"}), c), f.own)
	}},
	{"a kid that is a URL", func(f *forger, good string) string {
		h, c, _ := open(good)
		return signES256(unsigned(h.with(fields{"kid": f.lure + "/kid"}), c), f.own)
	}},
	{"a kid that is a list", func(f *forger, good string) string {
		h, c, _ := open(good)
		return signES256(unsigned(h.with(fields{"kid": []string{f.kid}}), c), f.own)
	}},
	{"jku", func(f *forger, good string) string {
		h, c, _ := open(good)
		return signES256(unsigned(h.with(fields{"kid": "own", "jku": f.lure + "/jwks"}), c), f.own)
	}},
	{"x5u", func(f *forger, good string) string {
		h, c, _ := open(good)
		return signES256(unsigned(h.with(fields{"x5u": f.lure + "/cert"}), c), f.own)
	}},
	{"jwk", func(f *forger, good string) string {
		h, c, _ := open(good)
		return signES256(unsigned(h.with(fields{"jwk": jwk(f.own, f.kid)}), c), f.own)
	}},
	{"changed claims", func(f *forger, good string) string {
		h, c, s := open(good)
		return unsigned(h, c.with(fields{"oid": f.owner, "sub": f.owner})) + "." + encoded(s)
	}},
	{"a later end", func(_ *forger, good string) string {
		h, c, s := open(good)
		return unsigned(h, c.with(fields{"exp": time.Now().Add(1000 * time.Hour).Unix()})) + "." + encoded(s)
	}},
	{"an all-zero signature", func(_ *forger, good string) string {
		h, c, _ := open(good)
		return unsigned(h, c) + "." + encoded(make([]byte, 64))
	}},
	{"half of the signature", func(_ *forger, good string) string { return good[:len(good)-43] }},
	{"no signature", func(_ *forger, good string) string { return good[:strings.LastIndex(good, ".")+1] }},
	{"two parts", func(_ *forger, good string) string { return good[:strings.LastIndex(good, ".")] }},
	{"four parts", func(_ *forger, good string) string { return good + ".e30" }},
	{"something after the signature", func(_ *forger, good string) string { return good + "AAAA" }},
	{"a signature in DER", func(f *forger, good string) string {
		h, c, _ := open(good)
		return der(unsigned(h, c), f.real)
	}},
	{"the JSON form", func(_ *forger, good string) string {
		p := strings.Split(good, ".")
		return fmt.Sprintf(`{"payload":"%s","protected":"%s","signature":"%s"}`, p[1], p[0], p[2])
	}},
	{"padded base64", func(_ *forger, good string) string { return good + "==" }},
	{"encoded twice", func(_ *forger, good string) string { return base64.StdEncoding.EncodeToString([]byte(good)) }},
	{"forty kilobytes", func(_ *forger, good string) string { return good + strings.Repeat("A", 40<<10) }},
	{"issued by another", func(f *forger, good string) string {
		return f.again(good, fields{"iss": "https://login.example/" + f.kid + "/"})
	}},
	{"issued by another tenant", func(f *forger, good string) string {
		_, c, _ := open(good)
		return f.again(good, fields{"iss": strings.TrimSuffix(c["iss"].(string), "/") + "x/"})
	}},
	{"issued by nobody", func(f *forger, good string) string { return f.again(good, fields{"iss": nil}) }},
	{"not yet valid", func(f *forger, good string) string {
		return f.again(good, fields{"nbf": time.Now().Add(time.Hour).Unix()})
	}},
	{"without an end", func(f *forger, good string) string { return f.again(good, fields{"exp": nil}) }},
}

func TestForgedTokens(t *testing.T) {
	w := shared(t)
	f := newForger(t, w)
	lured := &canary{}
	lure := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		lured.note(r.URL.Path)
		fmt.Fprintf(rw, `{"keys":[{"kty":"EC","crv":"P-256","kid":"own","x":"%s","y":"%s"}]}`,
			encoded(point(f.own)[:32]), encoded(point(f.own)[32:]))
	}))
	defer lure.Close()
	f.lure, f.owner = lure.URL, w.newOne(t, "owner", "Owner", w.group(group1)).objectID
	for _, d := range doors(t, w) {
		t.Run(d.name, func(t *testing.T) {
			t.Run("control", func(t *testing.T) { d.try(t, d.good).ok(t) })
			t.Run("control, signed again", func(t *testing.T) { d.try(t, f.again(d.good, nil)).ok(t) })
			for _, forgery := range forgeries {
				t.Run(forgery.name, func(t *testing.T) {
					d.try(t, forgery.make(f, d.good)).refused(t, d.forged)
				})
			}
			t.Run("nothing", func(t *testing.T) { d.try(t, "").refused(t, d.nothing) })
			t.Run("expired", func(t *testing.T) {
				hour := time.Now().Add(-time.Minute).Unix()
				d.try(t, f.again(d.good, fields{"exp": hour, "nbf": hour - 3600, "iat": hour - 3600})).refused(t,
					d.expired)
			})
		})
	}
	t.Run("nobody asked the forger for keys", func(t *testing.T) {
		if visits := lured.visits(""); len(visits) > 0 {
			t.Errorf("the server asked for %q", visits)
		}
	})
}
