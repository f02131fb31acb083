package servertest_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/server/servertest"
)

const exchange = "api://AzureADTokenExchange"

// doors are all places of an installation that take a token; each returns the status.
func doors(w *servertest.World, app servertest.Person) map[string]func(text string) int {
	bearer := func(address string) func(string) int {
		return func(text string) int {
			return w.Do(servertest.Request{Method: http.MethodGet, URL: address, Header: map[string]string{"Authorization": "Bearer " + text}}).Status
		}
	}
	form := func(address string, fixed url.Values, field string) func(string) int {
		return func(text string) int {
			v := url.Values{field: {text}}
			for name, values := range fixed {
				v[name] = values
			}
			return w.Do(servertest.Request{Method: http.MethodPost, URL: address, Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, Body: v.Encode()}).Status
		}
	}
	host := w.LoginServer("myregistry")
	return map[string]func(string) int{
		"management":        bearer(w.URL("management") + w.Group.String() + "?api-version=2021-04-01"),
		"graph":             bearer(w.URL("graph") + "/v1.0/servicePrincipals"),
		"registry":          bearer("https://" + host + "/v2/_catalog"),
		"registry exchange": form("https://"+host+"/oauth2/exchange", url.Values{"grant_type": {"access_token"}, "service": {host}, "tenant": {servertest.Tenant}}, "access_token"),
		"registry token":    form("https://"+host+"/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "service": {host}, "scope": {"registry:catalog:*"}}, "refresh_token"),
		"federation": form(w.URL("login")+"/adfs/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {string(app.ClientID)}, "scope": {"x/.default"},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}, "client_assertion"),
		"refresh of a user": form(w.URL("login")+"/adfs/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {cli}, "scope": {"x/.default"}}, "refresh_token"),
	}
}

const cli = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"

// Every token opens the door it was made for and no other; what was forged, changed, made
// by somebody else or for somewhere else, or has expired, opens none.
func TestDoors(t *testing.T) {
	w := servertest.New(t)
	w.NewRegistry("another")
	app := w.Person("app", "", arm.ID{})
	if _, err := w.Directory.AddTrust(t.Context(), app.ClientID, identity.Trust{Name: "own", Issuer: w.Issuer.URL, Subject: string(w.Admin.ObjectID), Audiences: []string{exchange}}); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	user, err := w.Directory.NewUser(t.Context(), identity.Principal{UserName: "anna@acrux.test", DisplayName: "Anna", Created: now}, secret.New("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	signed := w.Login("/adfs/oauth2/token", url.Values{"grant_type": {"password"}, "client_id": {cli}, "username": {user.UserName}, "password": {"correct horse"}, "scope": {"x/.default"}})
	refresh, _ := signed.At("refresh_token").(string)
	id, _ := signed.At("id_token").(string)

	must := func(text string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	subject := token.Subject{Principal: w.Admin.ObjectID}
	catalog := []oci.Access{{Type: "registry", Name: "catalog", Actions: []oci.Action{oci.Catalog}}}
	// sorts are the tokens that some door takes, made by an issuer at a time.
	sorts := func(is *token.Issuer, at time.Time) map[string]string {
		return map[string]string{
			"management":        must(is.Identity(w.Admin.Principal, w.URL("management"), at, time.Hour)),
			"graph":             must(is.Identity(w.Admin.Principal, w.URL("graph"), at, time.Hour)),
			"federation":        must(is.Identity(w.Admin.Principal, exchange, at, time.Hour)),
			"registry":          must(is.Access("myregistry", subject, catalog, at)),
			"registry token":    must(is.Refresh("myregistry", subject, at, time.Hour)),
			"refresh of a user": refresh,
		}
	}
	opens := map[string][]string{"management": {"management", "registry exchange"}, "graph": {"graph"}, "federation": {"federation"}, "registry": {"registry"},
		"registry token": {"registry token"}, "refresh of a user": {"refresh of a user"}}
	good := sorts(w.Issuer, now)

	// The same keys under another name, and other keys under the same name.
	renamed, err := token.Open(t.Context(), w.DB, w.Sealer, servertest.Tenant, "https://login.evil.test/", now)
	if err != nil {
		t.Fatal(err)
	}
	other := servertest.New(t).Issuer
	other.URL = w.Issuer.URL
	bad := map[string]string{"nothing": "", "rubbish": "x", "three parts": "a.b.c", "an ID token": id,
		"an ID token for the management host":        must(w.Issuer.ID(w.Admin.Principal, identity.ClientID(w.URL("management")), now, time.Hour)),
		"an ID token for the directory":              must(w.Issuer.ID(w.Admin.Principal, identity.ClientID(w.URL("graph")), now, time.Hour)),
		"an ID token for federation":                 must(w.Issuer.ID(w.Admin.Principal, exchange, now, time.Hour)),
		"an identity token for a name":               must(w.Issuer.Identity(w.Admin.Principal, "myregistry", now, time.Hour)),
		"an identity token for somewhere else":       must(w.Issuer.Identity(w.Admin.Principal, "https://management.evil.test", now, time.Hour)),
		"an identity token for a longer name":        must(w.Issuer.Identity(w.Admin.Principal, w.URL("management")+".evil.test", now, time.Hour)),
		"an access token of another registry":        must(w.Issuer.Access("another", subject, catalog, now)),
		"a refresh token of another registry":        must(w.Issuer.Refresh("another", subject, now, time.Hour)),
		"an access token of the management host":     must(w.Issuer.Access(w.URL("management"), subject, catalog, now)),
		"a refresh token that nobody has been given": "acrux_rt_" + strings.Repeat("A", 43),
	}
	add := func(how string, tokens map[string]string) {
		for sort, text := range tokens {
			if sort != "refresh of a user" { // it is no JWT
				bad[sort+", "+how] = text
			}
		}
	}
	add("expired", sorts(w.Issuer, now.Add(-24*time.Hour)))
	add("not yet valid", sorts(w.Issuer, now.Add(time.Hour)))
	add("of another issuer", sorts(renamed, now))
	add("with other keys", sorts(other, now))
	for _, how := range []string{"unsigned", "signed with a public key", "cut", "changed", "with a list of audiences"} {
		add(how, forge(t, w, good, how))
	}
	all := doors(w, app)
	for sort, text := range good {
		for door, open := range all {
			want := false
			for _, name := range opens[sort] {
				want = want || name == door
			}
			if got := open(text); (got == http.StatusOK) != want || got >= 500 {
				t.Errorf("a token for %s at %s: %d", sort, door, got)
			}
		}
	}
	for name, text := range bad {
		for door, open := range all {
			if got := open(text); got < 400 || got >= 500 {
				t.Errorf("%s at %s: %d", name, door, got)
			}
		}
	}
}

// forge changes tokens in a way that a verifier must notice.
func forge(t *testing.T, w *servertest.World, tokens map[string]string, how string) map[string]string {
	t.Helper()
	set, err := w.Issuer.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	key := set["keys"][0]
	forged := map[string]string{}
	for sort, text := range tokens {
		parts := strings.Split(text, ".")
		if len(parts) != 3 {
			continue
		}
		claims := jwt.MapClaims{}
		if _, _, err := jwt.NewParser().ParseUnverified(text, claims); err != nil {
			t.Fatal(err)
		}
		switch how {
		case "unsigned":
			forged[sort] = sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, key.ID, claims)
		case "signed with a public key":
			forged[sort] = sign(t, jwt.SigningMethodHS256, []byte(key.X), key.ID, claims)
		case "cut":
			forged[sort] = text[:len(text)-8]
		case "changed":
			raw, _ := base64.RawURLEncoding.DecodeString(parts[1]) // it was parsed a moment ago
			forged[sort] = parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(raw), `"exp":1`, `"exp":2`, 1))) + "." + parts[2]
		case "with a list of audiences":
			claims["aud"] = []any{claims["aud"], "x"}
			forged[sort] = sign(t, jwt.SigningMethodHS256, []byte("key"), "none", claims)
		}
	}
	return forged
}

func sign(t *testing.T, method jwt.SigningMethod, key any, kid string, claims jwt.MapClaims) string {
	t.Helper()
	made := jwt.NewWithClaims(method, claims)
	made.Header["kid"] = kid
	text, err := made.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
