package loginapi

import (
	"net/http"
	"strings"
)

// configuration describes an authority (OpenID Connect Discovery, section 3). Below
// /adfs clients also look for tenants.
func (s *Server) configuration(w http.ResponseWriter, authority, below string) {
	for _, name := range []string{authority, below} {
		if word := strings.ToLower(name); word != "v2.0" && word != ".well-known" && !s.tenantKnown(name) {
			unknown := badTenant(name)
			unknown.status = http.StatusNotFound
			s.fail(w, unknown)
			return
		}
	}
	base, oauth := s.URL+"/"+authority, "/oauth2/v2.0"
	if strings.EqualFold(authority, "adfs") {
		oauth = "/oauth2"
	}
	write(w, http.StatusOK, map[string]any{"issuer": s.Issuer.URL, "authorization_endpoint": base + oauth + "/authorize", "token_endpoint": base + oauth + "/token",
		"device_authorization_endpoint": base + oauth + "/devicecode", "jwks_uri": base + "/discovery/keys",
		"response_types_supported": []string{"token"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
		"scopes_supported":                      []string{"openid", "profile", "offline_access"},
		"grant_types_supported":                 []string{grantClient, grantPassword, grantRefresh, grantDevice},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic", "private_key_jwt"}})
}

func (s *Server) keys(w http.ResponseWriter) {
	set, err := s.Issuer.JWKS()
	if err != nil {
		s.fail(w, err)
		return
	}
	write(w, http.StatusOK, set)
}

// instance tells clients that ask whether this is a cloud that it is one of its own.
func (s *Server) instance(w http.ResponseWriter) {
	name := s.hostName()
	write(w, http.StatusOK, map[string]any{"tenant_discovery_endpoint": s.URL + "/" + s.TenantID + "/v2.0/.well-known/openid-configuration", "api-version": "1.1",
		"metadata": []any{map[string]any{"preferred_network": name, "preferred_cache": name, "aliases": []string{name}}}})
}

func (s *Server) hostName() string {
	name, _, _ := strings.Cut(strings.TrimPrefix(s.URL, "https://"), ":")
	return name
}

// realm tells where a user signs in: here, whether there is such a user or not.
func (s *Server) realm(w http.ResponseWriter, user string) {
	_, domain, _ := strings.Cut(user, "@")
	write(w, http.StatusOK, map[string]any{"ver": "1.0", "account_type": "Managed", "domain_name": domain,
		"cloud_instance_name": s.hostName(), "cloud_audience_urn": "urn:federation:Acrux"})
}
