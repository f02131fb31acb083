package dockerapi

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/secret"
)

// registryAuth reads the credential that came with a request, if one did.
func registryAuth(r *http.Request) (*Login, error) {
	header := r.Header.Get("X-Registry-Auth")
	if header == "" {
		return nil, nil
	}
	text, err := base64.URLEncoding.DecodeString(header)
	if err != nil {
		if text, err = base64.RawURLEncoding.DecodeString(header); err != nil {
			return nil, problem.New(problem.Invalid, "BadAuth", "invalid X-Registry-Auth header: %v", err)
		}
	}
	return parseLogin(text)
}

func parseLogin(text []byte) (*Login, error) {
	var auth struct{ Username, Password, Auth, IdentityToken, RegistryToken string }
	if err := json.Unmarshal(text, &auth); err != nil {
		return nil, problem.New(problem.Invalid, "BadAuth", "invalid credential: %v", err)
	}
	switch {
	case auth.RegistryToken != "":
		return nil, notOffered("a registry token")
	case auth.IdentityToken != "":
		return &Login{Username: oci.RefreshUser, Password: secret.New(auth.IdentityToken)}, nil
	case auth.Username == "" && auth.Password == "":
		return nil, nil
	}
	return &Login{Username: auth.Username, Password: secret.New(auth.Password)}, nil
}

// auth is docker login.
func (h *Handler) auth(w http.ResponseWriter, r *http.Request) error {
	var raw json.RawMessage
	if err := decode(w, r, &raw); err != nil {
		return err
	}
	var to struct{ ServerAddress string }
	login, err := parseLogin(raw)
	if err == nil {
		err = json.Unmarshal(raw, &to)
	}
	if err != nil {
		return err
	}
	if login == nil {
		return problem.New(problem.Unauthenticated, "NoCredential", "a user name and a password are needed")
	}
	host := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(to.ServerAddress, "https://"), "http://"), "/")
	if host, _, _ = strings.Cut(host, "/"); host == "" {
		host = "docker.io"
	}
	if err := h.engine.Login(r.Context(), host, *login); err != nil {
		return err
	}
	answer(w, http.StatusOK, map[string]string{"Status": "Login Succeeded", "IdentityToken": ""})
	return nil
}
