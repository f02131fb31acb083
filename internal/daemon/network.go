package daemon

import (
	"context"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/registryclient"
)

func lower(s string) string { return strings.ToLower(s) }

// newDialer makes the guarded dialer for what goes where users say.
func (s *Server) newDialer(registries *registry.Registries) (*egress.Dialer, error) {
	mirrors, err := ParseMirrors(s.config.RegistryMirrors)
	if err != nil {
		return nil, err
	}
	policy, err := s.config.Egress.policy()
	if err != nil {
		return nil, err
	}
	content := policy
	content.Loopback = false
	s.log.Info("what the server connects to", "callers", policy, "content", content, "key", "egress")
	own := func(host string) (string, bool) { return s.Published.Address, s.isOwn(host, registries) }
	roots, err := s.certs.roots(time.Now())
	if err != nil {
		return nil, err
	}
	return &egress.Dialer{Policy: policy, Content: content, Own: own, RootCAs: roots, Mirrors: mirrors,
		Namesake: s.namesake(registries)}, nil
}

// namesake finds the registry here that is called as a host of Azure's.
func (s *Server) namesake(registries *registry.Registries) egress.Namesake {
	return func(host string) (string, bool) {
		name, suffix, _ := strings.Cut(strings.TrimSuffix(lower(host), ":443"), ".")
		if !slices.Contains(s.config.AzureRegistrySuffixes, suffix) {
			return "", false
		}
		reg, err := registries.ByName(context.Background(), name)
		return reg.Properties.LoginServer, err == nil
	}
}

// isOwn reports whether host is a name of this installation: below its domain, or
// the alias of a registry that exists.
func (s *Server) isOwn(host string, registries *registry.Registries) bool {
	name, port, err := net.SplitHostPort(lower(host))
	if err != nil {
		name, port = lower(host), ""
	}
	if strings.HasSuffix(name, "."+s.Published.Domain) {
		return port == "" || port == s.Published.Port
	}
	if _, alias := registries.Aliases[name]; alias && (port == "" || port == "443") {
		_, err := registries.ByHost(context.Background(), name)
		return err == nil
	}
	return false
}

// elsewhere asks other registries about the images that task files and Dockerfiles name: so it
// goes where content may.
func (s *Server) elsewhere() *registryclient.Client {
	client := registryclient.New(s.dialer.ForContent(), "acrux")
	client.Suffixes = s.config.AzureRegistrySuffixes
	return client
}
