package egress

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
)

// Namesake tells whether a host of Azure's ("contoso.azurecr.io") is called like a registry of this
// installation, and that one's login server. It says no more than everybody may ask: names of
// registries are checked for whoever makes one. It must be safe for concurrent use.
type Namesake func(host string) (loginServer string, ok bool)

// Advice is what to do about an error on the way to a registry host, as lines without an end; empty
// if nothing is known to help. A refusal of the host itself is no such error, see Called.
func (d *Dialer) Advice(host string, err error) string {
	if !unreached(err) || d.IsOwn(host) {
		return ""
	}
	if mirror, ok := d.Mirror(host); ok {
		return fmt.Sprintf("hint: the images of %s are fetched from its mirror %s, which does not answer: start it, or name another %s",
			CanonicalHost(host), mirror.Redacted(), d.mirrorSetting(host))
	}
	if called := d.Called(host); called != "" {
		return called
	}
	return fmt.Sprintf("hint: in a closed network a registry there can stand in for %s: %s", CanonicalHost(host), d.mirrorSetting(host))
}

// Called says that a registry here is called as a host of Azure's, or is empty.
func (d *Dialer) Called(host string) string {
	if d.Namesake == nil || d.IsOwn(host) {
		return ""
	}
	server, ok := d.Namesake(host)
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(server, ".")
	return fmt.Sprintf("hint: this server has a registry %s of its own: write %s in place of %s\n"+
		"hint: or let %s mean it in acrux.yaml, with the ID that az acr show --name %s --query id --output tsv prints, and start the server anew: loginServerAliases: {%s: ID}",
		name, server, host, host, name, CanonicalHost(host))
}

// mirrorSetting is the line that names a mirror.
func (d *Dialer) mirrorSetting(host string) string {
	if d.MirrorFlag != "" {
		return fmt.Sprintf("with %s %s=http://MIRROR:5000", d.MirrorFlag, CanonicalHost(host))
	}
	return fmt.Sprintf("in acrux.yaml, with a new start of the server, registryMirrors: {%s: http://MIRROR:5000}", CanonicalHost(host))
}

// unreached reports whether an error is of a name that is not known or of a connection that was
// not made, but was allowed.
func unreached(err error) bool {
	var dns *net.DNSError
	var op *net.OpError
	return !problem.Is(err, problem.Invalid) && (errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial")
}
