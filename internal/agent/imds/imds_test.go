package imds

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/lease"
)

var (
	system = lease.Identity{ClientID: "system-client", PrincipalID: "system-principal", System: true}
	one    = lease.Identity{ClientID: "client-1", PrincipalID: "principal-1", ResourceID: "/id/1"}
	two    = lease.Identity{ClientID: "client-2", PrincipalID: "principal-2", ResourceID: "/id/2"}
)

func TestHandler(t *testing.T) {
	const path = tokenPath + "?api-version=2018-02-01&resource=https://management.azure.com/"
	tests := []struct {
		name       string
		identities []lease.Identity
		target     string
		header     string
		status     int
		want       string // client of the token, or description of the error
	}{
		{"system first", []lease.Identity{one, system}, path, "true", 200, "system-client"},
		{"the only one", []lease.Identity{one}, path, "True", 200, "client-1"},
		{"several", []lease.Identity{one, two}, path, "true", 400, several},
		{"none", nil, path, "true", 400, notFound},
		{"client", []lease.Identity{one, two}, path + "&client_id=CLIENT-2", "true", 200, "client-2"},
		{"principal", []lease.Identity{one, two}, path + "&object_id=principal-2", "true", 200, "client-2"},
		{"resource", []lease.Identity{one, two}, path + "&msi_res_id=/ID/2", "true", 200, "client-2"},
		{"foreign client", []lease.Identity{one}, path + "&client_id=client-9", "true", 400, notFound},
		{"no header", []lease.Identity{one}, path, "", 400, "Required metadata header not specified"},
		{"no resource", []lease.Identity{one}, tokenPath, "true", 400, "Required query variable 'resource' is missing"},
		{"another name of the principal", []lease.Identity{one, two}, path + "&principal_id=principal-2", "true", 200, "client-2"},
		{"another name of the resource", []lease.Identity{one, two}, path + "&mi_res_id=/id/2", "true", 200, "client-2"},
		{"foreign principal", []lease.Identity{one, system}, path + "&object_id=principal-9", "true", 400, notFound},
		{"other path", []lease.Identity{one}, "/metadata/instance", "true", 404, "There is no such document"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &Handler{Identities: tt.identities, Token: func(_ context.Context, request lease.TokenRequest) (lease.AccessToken, error) {
				if request.Audience != "https://management.azure.com/" {
					t.Errorf("audience %q", request.Audience)
				}
				return lease.AccessToken{Token: secret.New("t0ken"), ClientID: request.ClientID, ExpiresAt: time.Unix(4000000000, 0), NotBefore: time.Unix(5, 0)}, nil
			}}
			request := httptest.NewRequest(http.MethodGet, address+tt.target, nil)
			request.Header.Set("Metadata", tt.header)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, request)
			var got map[string]string
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if tt.status != http.StatusOK {
				if got["error_description"] != tt.want {
					t.Errorf("got %v", got)
				}
				return
			}
			delete(got, "expires_in") // counts down
			delete(got, "ext_expires_in")
			want := map[string]string{"access_token": "t0ken", "client_id": tt.want, "resource": "https://management.azure.com/",
				"token_type": "Bearer", "expires_on": "4000000000", "not_before": "5"}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// A client may close its side of the connection once it has asked.
func TestClientThatOnlyListens(t *testing.T) {
	h := &Handler{Identities: []lease.Identity{one}, Token: func(ctx context.Context, _ lease.TokenRequest) (lease.AccessToken, error) {
		select { // the server notices at some time
		case <-ctx.Done():
			return lease.AccessToken{}, ctx.Err()
		case <-time.After(50 * time.Millisecond):
			return lease.AccessToken{Token: secret.New("t0ken")}, nil
		}
	}}
	server := httptest.NewServer(h)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET "+tokenPath+"?resource=x HTTP/1.0\r\nMetadata: true\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), "200 OK") {
		t.Errorf("%v: %s", err, answer)
	}
}

// A request that came by way of a proxy, or that a name led here which somebody made for
// that, brings no token at either path; one that does not say whom it means is an old
// client's.
func TestForwarded(t *testing.T) {
	asked := 0
	h := &Handler{Identities: []lease.Identity{one}, Key: NewKey(), Token: func(context.Context, lease.TokenRequest) (lease.AccessToken, error) {
		asked++
		return lease.AccessToken{Token: secret.New("t0ken")}, nil
	}}
	for _, test := range []struct {
		name, host, header string
		proto              int // minor version
		status             int
	}{
		{"itself", "169.254.169.254", "", 1, 200},
		{"itself, with its port", "169.254.169.254:80", "", 1, 200},
		{"an old client", "", "", 0, 200},
		{"nobody", "", "", 1, 400},
		{"another name", "metadata.attacker.example", "", 1, 400},
		{"another name, of old", "metadata.attacker.example", "", 0, 400},
		{"another port", "169.254.169.254:8080", "", 1, 400},
		{"another address", "169.254.169.253", "", 1, 400},
		{"a longer name", "169.254.169.254.nip.example", "", 1, 400},
		{"for somebody", "169.254.169.254", "X-Forwarded-For", 1, 400},
		{"for somebody, in lower case", "169.254.169.254", "x-forwarded-for", 1, 400},
		{"for a host", "169.254.169.254", "X-Forwarded-Host", 1, 400},
		{"as RFC 7239 has it", "169.254.169.254", "Forwarded", 1, 400},
		{"by a proxy", "169.254.169.254", "Via", 1, 400},
	} {
		for _, path := range []string{tokenPath, servicePath} {
			asked = 0
			request := httptest.NewRequest(http.MethodGet, address+path+"?resource=r", nil)
			request.Host, request.ProtoMinor = test.host, test.proto
			request.Header.Set("Metadata", "true")
			request.Header.Set("X-IDENTITY-HEADER", h.Key.Reveal())
			if test.header != "" {
				request.Header.Set(test.header, "")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, request)
			if w.Code != test.status || (asked > 0) != (test.status == http.StatusOK) {
				t.Errorf("%s at %s: %d, asked %d times: %s", test.name, path, w.Code, asked, w.Body)
			}
		}
	}
}

// App Service's variables lead to a token, in both versions of its protocol, and only
// with the key of the run.
func TestAppService(t *testing.T) {
	h := &Handler{Identities: []lease.Identity{one, two}, Key: NewKey(), Token: func(_ context.Context, request lease.TokenRequest) (lease.AccessToken, error) {
		return lease.AccessToken{Token: secret.New("t0ken"), ClientID: request.ClientID, ExpiresAt: time.Unix(4000000000, 0)}, nil
	}}
	environment := map[string]string{}
	for _, entry := range h.Environment() {
		name, value, _ := strings.Cut(entry, "=")
		environment[name] = value
	}
	endpoint, key := environment["IDENTITY_ENDPOINT"], environment["IDENTITY_HEADER"]
	if endpoint != "http://169.254.169.254/msi/token" || len(key) < 20 || strings.ContainsAny(key, ",= ") || environment["MSI_ENDPOINT"] != endpoint || environment["MSI_SECRET"] != key || len(environment) != 4 {
		t.Fatalf("%v", environment)
	}
	for _, test := range []struct {
		name, target, header, value string
		status                      int
		want                        string
	}{
		{"2019-08-01", "?api-version=2019-08-01&resource=r&client_id=client-2", "X-IDENTITY-HEADER", key, 200, "client-2"},
		{"by principal", "?api-version=2019-08-01&resource=r&principal_id=principal-1", "X-IDENTITY-HEADER", key, 200, "client-1"},
		{"by resource", "?api-version=2019-08-01&resource=r&mi_res_id=/id/1", "X-IDENTITY-HEADER", key, 200, "client-1"},
		{"2017-09-01", "/?resource=r&api-version=2017-09-01&clientid=client-2", "secret", key, 200, "client-2"},
		{"without saying which", "?api-version=2019-08-01&resource=r", "X-IDENTITY-HEADER", key, 400, several},
		{"without a resource", "?api-version=2019-08-01&client_id=client-2", "X-IDENTITY-HEADER", key, 400, "Required query variable 'resource' is missing"},
		{"a wrong key", "?resource=r&client_id=client-2", "X-IDENTITY-HEADER", key + "x", 401, "The header X-IDENTITY-HEADER, or secret, is missing or wrong"},
		{"no key", "?resource=r&client_id=client-2", "X-IDENTITY-HEADER", "", 401, "The header X-IDENTITY-HEADER, or secret, is missing or wrong"},
		{"the other header", "?resource=r&client_id=client-2", "Metadata", "true", 401, "The header X-IDENTITY-HEADER, or secret, is missing or wrong"},
	} {
		request := httptest.NewRequest(http.MethodGet, endpoint+test.target, nil)
		request.Header.Set(test.header, test.value)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request)
		var got map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if w.Code != test.status || got["client_id"]+got["error_description"] != test.want {
			t.Errorf("%s: %d %s", test.name, w.Code, w.Body)
		}
	}
	if got := (&Handler{Key: NewKey()}).Environment(); got != nil {
		t.Errorf("without identities: %v", got)
	}
	w := httptest.NewRecorder()
	(&Handler{Identities: []lease.Identity{one}}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, endpoint+"?resource=r", nil))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("a handler without a key: %d", w.Code)
	}
}
