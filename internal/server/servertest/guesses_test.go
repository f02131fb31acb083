package servertest_test

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/server/edge"
	"github.com/acrux/acrux/internal/server/servertest"
)

// behind makes a world whose clients come through a proxy.
func behind(t *testing.T) *servertest.World {
	t.Helper()
	w := servertest.New(t)
	w.Router.Proxies = edge.Proxies{netip.MustParsePrefix("127.0.0.1/32")}
	return w
}

// tries are ways to sign in with a secret, right or wrong, from an address; each says
// whether it was let in, and whether the door was closed.
type tries func(from, name, password string) (in, closed bool)

func basicDoor(w *servertest.World) tries {
	return func(from, name, password string) (in, closed bool) {
		a := w.Do(servertest.Request{Method: http.MethodGet, URL: "https://" + w.LoginServer("myregistry") + "/oauth2/token",
			Header: map[string]string{"X-Forwarded-For": from,
				"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))}})
		return a.Status == 200, a.Status == 429
	}
}

func loginDoor(w *servertest.World, fixed url.Values, name, password string) tries {
	return func(from, who, secret string) (in, closed bool) {
		form := url.Values{"scope": {w.URL("management") + "/.default"}}
		for key, values := range fixed {
			form[key] = values
		}
		if form.Set(password, secret); name != "" {
			form.Set(name, who)
		}
		a := w.Do(servertest.Request{Method: http.MethodPost, URL: w.URL("login") + "/adfs/oauth2/token", Body: form.Encode(),
			Header: map[string]string{"X-Forwarded-For": from, "Content-Type": "application/x-www-form-urlencoded"}})
		return a.Status == 200, strings.Contains(a.Body, "AADSTS50053")
	}
}

// untilClosed guesses until the door is closed.
func untilClosed(t *testing.T, try tries, from, name string) {
	t.Helper()
	for range 2000 {
		in, closed := try(from, name, "wrong")
		if in {
			t.Fatal("a wrong secret was let in")
		}
		if closed {
			return
		}
	}
	t.Fatalf("%s can be guessed at without end", name)
}

const (
	stranger = "198.51.100.1"
	office   = "203.0.113.9"
)

// At every door there is an end to guessing, for the stranger who guesses; others come in,
// through the same proxy and with the same account.
func TestGuessesAtEveryDoor(t *testing.T) {
	w := behind(t)
	w.ARMOK(w.Admin, http.MethodPatch, w.Registry.String(), `{"properties":{"adminUserEnabled":true}}`)
	admin := w.ARMOK(w.Admin, http.MethodPost, w.Registry.String()+"/listCredentials", "")
	secret, _ := admin.JSON()["passwords"].([]any)[0].(map[string]any)["value"].(string)
	w.Graph(w.Admin, http.MethodPost, "/v1.0/users",
		`{"accountEnabled":true,"displayName":"Anna","mailNickname":"anna","userPrincipalName":"anna@acrux.test",
		"passwordProfile":{"forceChangePasswordNextSignIn":false,"password":"correct horse"}}`)
	app := w.Person("app", "Owner", arm.ID{})
	program, user := url.Values{"grant_type": {"client_credentials"}}, url.Values{"grant_type": {"password"},
		"client_id": {cli}}
	for name, test := range map[string]struct {
		try          tries
		who, correct string
	}{
		"admin user":    {basicDoor(w), "MyRegistry", secret},
		"client secret": {loginDoor(w, program, "client_id", "client_secret"), string(app.ClientID), app.Secret},
		"password":      {loginDoor(w, user, "username", "password"), "anna@acrux.test", "correct horse"},
	} {
		if in, _ := test.try(office, test.who, test.correct); !in {
			t.Fatalf("%s: the right secret is not let in", name)
		}
		untilClosed(t, test.try, stranger, test.who)
		if in, closed := test.try(stranger, test.who, test.correct); in || !closed {
			t.Errorf("%s: guessing went on", name)
		}
		if in, _ := test.try(office, test.who, test.correct); !in {
			t.Errorf("%s: a stranger has locked the account", name)
		}
		if in, _ := test.try("192.0.2.33", test.who, test.correct); !in {
			t.Errorf("%s: a stranger has locked the account where it was never used", name)
		}
	}
}

// What was tried at one door counts at the others.
func TestGuessesCountTogether(t *testing.T) {
	w := behind(t)
	app := w.Person("app", "Owner", arm.ID{})
	login := loginDoor(w, url.Values{"grant_type": {"client_credentials"}}, "client_id", "client_secret")
	asserted := loginDoor(w, url.Values{"grant_type": {"client_credentials"}, "client_id": {string(app.ClientID)},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}, "", "client_assertion")
	for range 60 {
		_, _ = asserted(stranger, "", "wrong")
		_, _ = login(stranger, string(app.ClientID), "wrong")
	}
	for name, try := range map[string]tries{"login": login, "assertion": asserted, "registry": basicDoor(w)} {
		if _, closed := try(stranger, string(app.ClientID), app.Secret); !closed {
			t.Errorf("%s: the door is open", name)
		}
	}
	if in, _ := basicDoor(w)(office, string(app.ClientID), app.Secret); !in {
		t.Error("somebody else is not let in")
	}
}

// Whoever tries what is nobody's name, tokens and codes, has an end as well, and says where
// he is in no way that counts.
func TestGuessesAtTokens(t *testing.T) {
	w := behind(t)
	w.Router.Proxies = nil
	i := 0
	refresh := loginDoor(w, url.Values{"grant_type": {"refresh_token"}, "client_id": {cli}}, "", "refresh_token")
	device := loginDoor(w, url.Values{"grant_type": {"device_code"}, "client_id": {cli}}, "", "device_code")
	untilClosed(t, func(_, name, password string) (bool, bool) {
		i++
		from := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}).String()
		if i%2 == 0 {
			return refresh(from, name, password)
		}
		return device(from, name, password)
	}, "", "")
}
