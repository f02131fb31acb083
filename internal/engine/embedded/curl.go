//go:build linux && cgo

package embedded

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/acrux/acrux/internal/sandbox/runnet"
)

// configureCurl tells curl where the run's registries are. It takes every name that ends in
// localhost for its own machine, whatever name servers and hosts files say (7.77.0 and later).
func (s *Scope) configureCurl() error {
	var lines string
	for _, registry := range s.spec.Registries {
		host, port, err := net.SplitHostPort(registry)
		if err != nil {
			host, port = registry, "443"
		}
		if strings.HasSuffix(strings.ToLower(host), ".localhost") {
			lines += fmt.Sprintf("connect-to = \"%s:%s:%s:%s\"\n", host, port, runnet.ServiceAddr, port)
		}
	}
	if lines == "" || s.spec.Home == "" {
		return nil
	}
	if err := os.WriteFile(filepath.Join(s.spec.Home, ".curlrc"), []byte(lines), 0o644); err != nil {
		return fmt.Errorf("telling curl where registries are: %w", err)
	}
	return nil
}
