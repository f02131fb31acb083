package loginapi_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/access/assertion"
	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/server/servertest"
)

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// certificate gives an application a self-signed certificate that ends in a while.
func certificate(t *testing.T, w *servertest.World, id identity.ClientID, life time.Duration) (*rsa.PrivateKey, []byte) {
	t.Helper()
	key := rsaKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(life)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	old, err := w.Directory.Credentials(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	old = slices.DeleteFunc(old, func(c identity.Credential) bool { return c.Kind != identity.Certificate })
	if err := w.Directory.SetCertificates(t.Context(), id, append(old, identity.Credential{Certificate: der})); err != nil {
		t.Fatal(err)
	}
	return key, der
}

// sign makes a JWT.
func sign(t *testing.T, method jwt.SigningMethod, key any, header, claims map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims(claims))
	for name, value := range header {
		token.Header[name] = value
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// but is a copy of claims with others; nil leaves one out.
func but(claims map[string]any, pairs ...any) map[string]any {
	changed := map[string]any{}
	for name, value := range claims {
		changed[name] = value
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		changed[pairs[i].(string)] = pairs[i+1]
		if pairs[i+1] == nil {
			delete(changed, pairs[i].(string))
		}
	}
	return changed
}

// assert asks for a token with an assertion.
func assert(w *servertest.World, id, text, resource string) servertest.Answer {
	return w.Login(endpoint, url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_assertion": {text}, "scope": {resource + "/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_info": {"1"}})
}

// A program signs in with a certificate of its application, in every way that clients
// name it.
func TestCertificate(t *testing.T) {
	w := servertest.New(t)
	id := string(w.Admin.ClientID)
	key, der := certificate(t, w, w.Admin.ClientID, time.Hour)
	sum1, sum256 := sha1.Sum(der), sha256.Sum256(der)
	b64 := base64.RawURLEncoding.EncodeToString
	claims := func() map[string]any {
		return map[string]any{"iss": id, "sub": id, "aud": w.URL("login") + endpoint, "exp": time.Now().Add(10 * time.Minute).Unix(), "nbf": time.Now().Unix(), "iat": time.Now().Unix(), "jti": uuid.NewString()}
	}
	x5t := map[string]any{"x5t": b64(sum1[:])}
	for name, text := range map[string]string{
		"MSAL for Python":         sign(t, jwt.SigningMethodRS256, key, x5t, claims()),
		"newer":                   sign(t, jwt.SigningMethodPS256, key, map[string]any{"x5t#S256": b64(sum256[:])}, claims()),
		"both":                    sign(t, jwt.SigningMethodRS256, key, map[string]any{"x5t": b64(sum1[:]), "x5t#S256": b64(sum256[:]), "kid": "anything", "x5c": []string{"x"}}, claims()),
		"hexadecimal":             sign(t, jwt.SigningMethodRS256, key, map[string]any{"x5t": strings.ToUpper(hex.EncodeToString(sum1[:]))}, claims()),
		"padded":                  sign(t, jwt.SigningMethodRS256, key, map[string]any{"x5t": base64.URLEncoding.EncodeToString(sum1[:])}, claims()),
		"by the name of the key":  sign(t, jwt.SigningMethodRS256, key, map[string]any{"kid": hex.EncodeToString(sum1[:])}, claims()),
		"by none":                 sign(t, jwt.SigningMethodRS256, key, nil, claims()),
		"for the tenant":          sign(t, jwt.SigningMethodRS256, key, x5t, but(claims(), "aud", w.URL("login")+"/"+servertest.Tenant+"/oauth2/v2.0/token")),
		"for several":             sign(t, jwt.SigningMethodRS256, key, x5t, but(claims(), "aud", []string{"x", w.Issuer.URL})),
		"without a jti":           sign(t, jwt.SigningMethodRS256, key, x5t, but(claims(), "jti", nil)),
		"of a slow clock":         sign(t, jwt.SigningMethodRS256, key, x5t, but(claims(), "exp", time.Now().Add(-time.Minute).Unix(), "jti", nil)),
		"in capitals":             sign(t, jwt.SigningMethodRS256, key, x5t, but(claims(), "iss", strings.ToUpper(id), "sub", strings.ToUpper(id))),
		"of a fast clock":         sign(t, jwt.SigningMethodRS256, key, x5t, but(claims(), "nbf", time.Now().Add(time.Minute).Unix(), "iat", time.Now().Add(time.Minute).Unix())),
		"without a client ID too": "",
	} {
		client := id
		if text == "" {
			client, text = "", sign(t, jwt.SigningMethodRS256, key, x5t, claims())
		}
		a := assert(w, client, text, "x")
		if a.Status != 200 || claimsOf(t, a.At("access_token"))["oid"] != string(w.Admin.ObjectID) {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	text := sign(t, jwt.SigningMethodRS256, key, x5t, claims())
	if a := assert(w, id, text, "one"); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	refused(t, "a second time", assert(w, id, text, "one"), 401, "invalid_client", "AADSTS700027")
	refused(t, "a second time, written otherwise", assert(w, id, text+"=", "one"), 401, "invalid_client", "AADSTS700027")
	if a := assert(w, id, text, "two"); a.Status != 200 {
		t.Errorf("for something else: %d %s", a.Status, a.Body)
	}

	other := w.Person("other", "", arm.ID{})
	otherKey, _ := certificate(t, w, other.ClientID, time.Hour)
	overKey, _ := certificate(t, w, w.Admin.ClientID, -time.Hour)
	for name, test := range map[string]struct {
		text   string
		number string
	}{
		"another key":                 {sign(t, jwt.SigningMethodRS256, rsaKey(t), x5t, claims()), "AADSTS700027"},
		"another client's":            {sign(t, jwt.SigningMethodRS256, otherKey, nil, claims()), "AADSTS700027"},
		"another certificate":         {sign(t, jwt.SigningMethodRS256, key, map[string]any{"x5t": "x"}, claims()), "AADSTS700027"},
		"two certificates":            {sign(t, jwt.SigningMethodRS256, key, map[string]any{"x5t": b64(sum1[:]), "x5t#S256": "x"}, claims()), "AADSTS700027"},
		"another name of a key":       {sign(t, jwt.SigningMethodRS256, key, map[string]any{"kid": "x"}, claims()), "AADSTS700027"},
		"a certificate that is over":  {sign(t, jwt.SigningMethodRS256, overKey, nil, claims()), "AADSTS700027"},
		"another method":              {sign(t, jwt.SigningMethodRS512, key, x5t, claims()), "AADSTS700027"},
		"no signature":                {sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, x5t, claims()), "AADSTS700027"},
		"the certificate as a secret": {sign(t, jwt.SigningMethodHS256, der, x5t, claims()), "AADSTS700027"},
		"over":                        {sign(t, jwt.SigningMethodRS256, key, x5t, but(claims(), "exp", time.Now().Add(-time.Hour).Unix())), "AADSTS700024"},
		"not yet":                     {sign(t, jwt.SigningMethodRS256, key, x5t, but(claims(), "nbf", time.Now().Add(time.Hour).Unix())), "AADSTS700024"},
		"without an end":              {sign(t, jwt.SigningMethodRS256, key, x5t, but(claims(), "exp", nil)), "AADSTS700027"},
		"with a far end":              {sign(t, jwt.SigningMethodRS256, key, x5t, but(claims(), "exp", time.Now().Add(1000*time.Hour).Unix())), "AADSTS700027"},
		"for another host":            {sign(t, jwt.SigningMethodRS256, key, x5t, but(claims(), "aud", "https://login.microsoftonline.com/x/oauth2/token")), "AADSTS700212"},
		"for a host like ours":        {sign(t, jwt.SigningMethodRS256, key, x5t, but(claims(), "aud", w.URL("login")+"0/adfs/oauth2/token")), "AADSTS700212"},
		"for nobody":                  {sign(t, jwt.SigningMethodRS256, key, x5t, but(claims(), "aud", nil)), "AADSTS700212"},
		"about another":               {sign(t, jwt.SigningMethodRS256, key, x5t, but(claims(), "sub", string(other.ClientID))), "AADSTS700027"},
		"of another":                  {sign(t, jwt.SigningMethodRS256, otherKey, nil, but(claims(), "iss", string(other.ClientID), "sub", string(other.ClientID))), "AADSTS700211"},
		"rubbish":                     {"a.b.c", "AADSTS700027"},
		"long":                        {strings.Repeat("x", 20_000), "AADSTS700027"},
	} {
		refused(t, name, assert(w, id, test.text, "x"), 401, "invalid_client", test.number)
	}
	refused(t, "nobody", assert(w, "nobody", text, "x"), 400, "unauthorized_client", "AADSTS700016")
	p := w.Admin.Principal
	p.Disabled = true
	if err := w.Directory.PutPrincipal(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	refused(t, "disabled", assert(w, id, sign(t, jwt.SigningMethodRS256, key, x5t, claims()), "x"), 401, "invalid_client", "AADSTS7000112")
}

// foreign is another issuer, with its keys.
type foreign struct {
	*httptest.Server
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
}

func newForeign(t *testing.T, w *servertest.World) *foreign {
	t.Helper()
	f := &foreign{rsa: rsaKey(t)}
	var err error
	if f.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	public := func(id string, key crypto.Signer) jose.JSONWebKey {
		return jose.JSONWebKey{Key: key.Public(), KeyID: id, Use: "sig"}
	}
	mux := http.NewServeMux()
	f.Server = httptest.NewTLSServer(mux)
	t.Cleanup(f.Close)
	answer := func(v any) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(rw).Encode(v) }
	}
	mux.HandleFunc("/.well-known/openid-configuration", answer(map[string]string{"issuer": f.URL, "jwks_uri": f.URL + "/keys"}))
	mux.HandleFunc("/keys", answer(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public("r", f.rsa), public("e", f.ec)}}))
	transport := w.Dialer.Transport()
	transport.TLSClientConfig.RootCAs = f.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	t.Cleanup(transport.CloseIdleConnections)
	w.Assertions.Keys = assertion.NewKeys(transport)
	return f
}

const exchange = "api://AzureADTokenExchange"

// A program signs in with a token of an issuer that its application, or its managed
// identity, trusts.
func TestFederated(t *testing.T) {
	w := servertest.New(t)
	f := newForeign(t, w)
	w.ARMOK(w.Admin, "PUT", w.Group.In(identity.UserAssigned, "MyId").String(), `{"location":"eastus"}`)
	res := w.ARMOK(w.Admin, "PUT", w.Group.In(identity.UserAssigned, "MyId").Child("federatedIdentityCredentials", "other").String(),
		`{"properties":{"issuer":"`+f.URL+`","subject":"repo:o/r","audiences":["`+exchange+`"]}}`)
	id, _ := w.ARMOK(w.Admin, "GET", w.Group.In(identity.UserAssigned, "MyId").String(), "").At("properties", "clientId").(string)
	app := w.Person("app", "", arm.ID{})
	if _, err := w.Directory.AddTrust(t.Context(), app.ClientID, identity.Trust{Name: "other", Issuer: f.URL, Subject: "repo:o/r", Audiences: []string{"mine"}}); err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"iss": f.URL, "sub": "repo:o/r", "aud": exchange, "exp": time.Now().Add(10 * time.Minute).Unix(), "iat": time.Now().Unix()}
	r, e := map[string]any{"kid": "r"}, map[string]any{"kid": "e"}
	good := sign(t, jwt.SigningMethodRS256, f.rsa, r, claims)
	for name, test := range map[string]struct{ id, text string }{
		"an identity":          {id, good},
		"again":                {id, good},
		"an elliptic curve":    {id, sign(t, jwt.SigningMethodES256, f.ec, e, claims)},
		"another method":       {id, sign(t, jwt.SigningMethodPS512, f.rsa, r, claims)},
		"without a key's name": {id, sign(t, jwt.SigningMethodES256, f.ec, nil, claims)},
		"several audiences":    {id, sign(t, jwt.SigningMethodRS256, f.rsa, r, but(claims, "aud", []string{"x", exchange}))},
		"an application":       {string(app.ClientID), sign(t, jwt.SigningMethodRS256, f.rsa, r, but(claims, "aud", "mine"))},
	} {
		if a := assert(w, test.id, test.text, "https://arm.example"); a.Status != 200 || claimsOf(t, a.At("access_token"))["appid"] != test.id {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	for name, test := range map[string]struct{ text, number string }{
		"another issuer":   {sign(t, jwt.SigningMethodRS256, f.rsa, r, but(claims, "iss", f.URL+"/")), "AADSTS700211"},
		"another subject":  {sign(t, jwt.SigningMethodRS256, f.rsa, r, but(claims, "sub", "repo:o/R")), "AADSTS700213"},
		"another audience": {sign(t, jwt.SigningMethodRS256, f.rsa, r, but(claims, "aud", "mine")), "AADSTS700212"},
		"another key":      {sign(t, jwt.SigningMethodRS256, rsaKey(t), r, claims), "AADSTS700027"},
		"an unknown key":   {sign(t, jwt.SigningMethodRS256, f.rsa, map[string]any{"kid": "x"}, claims), "AADSTS700027"},
		"the wrong key":    {sign(t, jwt.SigningMethodRS256, f.rsa, e, claims), "AADSTS700027"},
		"no signature":     {sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, r, claims), "AADSTS700027"},
		"a shared key":     {sign(t, jwt.SigningMethodHS256, x509.MarshalPKCS1PublicKey(&f.rsa.PublicKey), r, claims), "AADSTS700027"},
		"over":             {sign(t, jwt.SigningMethodRS256, f.rsa, r, but(claims, "exp", time.Now().Add(-time.Hour).Unix())), "AADSTS700024"},
		"without an end":   {sign(t, jwt.SigningMethodRS256, f.rsa, r, but(claims, "exp", nil)), "AADSTS700027"},
	} {
		refused(t, name, assert(w, id, test.text, "x"), 401, "invalid_client", test.number)
	}
	w.ARMOK(w.Admin, "DELETE", res.At("id").(string), "")
	refused(t, "trusted no longer", assert(w, id, good, "x"), 401, "invalid_client", "AADSTS700211")
	f.Close()
	w.Assertions.Keys = assertion.NewKeys(w.Dialer.Transport())
	gone := assert(w, string(app.ClientID), sign(t, jwt.SigningMethodRS256, f.rsa, r, but(claims, "aud", "mine")), "x")
	refused(t, "an issuer that does not answer", gone, 401, "invalid_client", "AADSTS50166")
	if strings.Contains(gone.Body, "127.0.0.1") {
		t.Errorf("the answer tells of the network: %s", gone.Body)
	}
}

// This installation is an issuer like others, and no network is needed to ask it.
func TestOwnIssuer(t *testing.T) {
	w := servertest.New(t)
	w.Assertions.Keys = nil // would be asked for keys
	managed, err := w.Directory.NewManaged(t.Context(), "id", "/x", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	app := w.Person("app", "", arm.ID{})
	if _, err := w.Directory.AddTrust(t.Context(), app.ClientID, identity.Trust{Name: "own", Issuer: w.Issuer.URL, Subject: string(managed.ObjectID), Audiences: []string{exchange}}); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	make := func(p identity.Principal, audience string, at time.Time) string {
		text, err := w.Issuer.Identity(p, audience, at, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := make(managed, exchange, now)
	if a := assert(w, string(app.ClientID), good, "https://arm.example"); a.Status != 200 || claimsOf(t, a.At("access_token"))["oid"] != string(app.ObjectID) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	proof, err := w.Issuer.ID(managed, exchange, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ text, number string }{
		"another principal": {make(w.Admin.Principal, exchange, now), "AADSTS700213"},
		"another audience":  {make(managed, "https://arm.example", now), "AADSTS700212"},
		"over":              {make(managed, exchange, now.Add(-2*time.Hour)), "AADSTS700024"},
		"an ID token":       {proof, "AADSTS700027"},
		"signed by another": {sign(t, jwt.SigningMethodRS256, rsaKey(t), nil, map[string]any{"iss": w.Issuer.URL, "sub": string(managed.ObjectID), "aud": exchange, "exp": now.Add(time.Hour).Unix()}), "AADSTS700027"},
	} {
		refused(t, name, assert(w, string(app.ClientID), test.text, "x"), 401, "invalid_client", test.number)
	}
	refused(t, "who trusts nobody", assert(w, string(w.Admin.ClientID), good, "x"), 401, "invalid_client", "AADSTS700211")
	managed.Disabled = true
	if err := w.Directory.PutPrincipal(t.Context(), managed); err != nil {
		t.Fatal(err)
	}
	refused(t, "disabled", assert(w, string(app.ClientID), good, "x"), 401, "invalid_client", "AADSTS700027")
}
