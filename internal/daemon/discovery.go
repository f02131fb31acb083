package daemon

import (
	"encoding/json"
	"net/http"
)

// DiscoveryPath is where a server says at any of its names and addresses what clients need
// to find its hosts; AuthorityPath has its authority alone, as docker and others want it.
// Neither says what is in it, and both are for everybody.
const (
	DiscoveryPath = "/.well-known/acrux"
	AuthorityPath = "/.well-known/acrux/ca.crt"
)

// Discovery is what stands at DiscoveryPath.
type Discovery struct {
	Management string `json:"management"` // https://management.DOMAIN:PORT
	Authority  string `json:"authority"`  // https://login.DOMAIN:PORT/adfs
	Graph      string `json:"graph"`
	TenantID   string `json:"tenantId"`
	// SubscriptionID is the only one; it is a name and opens nothing.
	SubscriptionID string `json:"subscriptionId"`
	CA             string `json:"ca"` // certificates in PEM form, the newest first
}

// discovery serves both paths. The authority may be renewed meanwhile.
func (s *Server) discovery() (document, authority http.Handler) {
	pub := s.Published
	document = get("application/json", func() ([]byte, error) {
		return json.Marshal(Discovery{Management: pub.URL("management"), Authority: pub.URL("login") + "/adfs",
			Graph: pub.URL("graph"), TenantID: pub.TenantID, SubscriptionID: pub.SubscriptionID,
			CA: string(s.certs.publicPEM())})
	})
	return document, get("application/x-pem-file", func() ([]byte, error) { return s.certs.publicPEM(), nil })
}

// get serves what one function makes, to be looked at only.
func get(kind string, content func() ([]byte, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "GET only", http.StatusMethodNotAllowed)
			return
		}
		text, err := content()
		if err != nil {
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(text) // the client is gone if this fails
	})
}
