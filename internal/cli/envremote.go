package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/client"
	"github.com/acrux/acrux/internal/daemon"
	"github.com/acrux/acrux/internal/secret"
)

// remoteMachine is for the server of the last login; nil if a data directory is meant: it was
// given, or a server has run there, or nobody has signed in.
func (o envOptions) remoteMachine(ctx context.Context, env *environment, given, data string) (*machine, error) {
	if _, err := daemon.ReadPublished(data); given != "" || env.getenv("ACRUX_DATA") != "" || err == nil {
		return nil, nil
	}
	dir, err := env.configDir()
	if err != nil {
		return nil, err
	}
	clients, err := filepath.Abs(filepath.Join(dir, "clients"))
	if err != nil {
		return nil, err
	}
	m := &machine{envOptions: o, clientsDir: clients, remote: true}
	before, notPrepared := daemon.ReadPublished(clients)
	if o.undo && notPrepared == nil {
		m.server = before
		return m, nil // whoever has signed in since, or nobody
	}
	last, err := readProfile(dir)
	if err != nil {
		return nil, nil // the data directory's error says what to do
	}
	if m.server, err = publishedOf(ctx, last); err != nil {
		return nil, err
	}
	if notPrepared == nil && o.prepares() && !m.sameServer(before) {
		return nil, problem.New(problem.Conflict, "PreparedForAnother",
			"this machine is prepared for the server of %s", before.Domain).
			Hint(`eval "$(acrux env --undo)"`)
	}
	return m, nil
}

// prepares reports whether something is written beside the output.
func (o envOptions) prepares() bool { return o.az || o.hosts || o.docker }

// sameServer reports whether what was prepared for a server is taken back with that of m's.
func (m *machine) sameServer(before daemon.Published) bool {
	return before.Domain == m.server.Domain && before.CABundle == m.server.CABundle
}

// record keeps what --undo has to know of a server that has no data directory here: a login may
// be over by then.
func (m *machine) record() error {
	if !m.remote || !m.prepares() {
		return nil
	}
	text, err := json.MarshalIndent(m.server, "", "  ")
	if err != nil {
		return err
	}
	return secret.WriteFile(filepath.Join(m.clientsDir, "server.json"), append(text, '\n'))
}

// publishedOf is what the server of a login says of itself, as far as the login remembers.
func publishedOf(ctx context.Context, p client.Profile) (daemon.Published, error) {
	u, err := url.Parse(p.Management)
	if err != nil {
		return daemon.Published{}, err
	}
	pub := daemon.Published{Address: p.Address, Domain: strings.TrimPrefix(u.Hostname(), "management."), Port: u.Port(),
		TenantID: p.Tenant, SubscriptionID: p.Subscription, CABundle: p.CABundle}
	if pub.Port == "" {
		pub.Port = "443"
	}
	host, port, err := net.SplitHostPort(p.Address)
	if err != nil {
		host, port = u.Hostname(), pub.Port // by DNS
	}
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return pub, fmt.Errorf("the server of the last login: %w", err)
	}
	pub.Address = net.JoinHostPort(found[0], port)
	return pub, nil
}

// signedIn is who may be asked for the names of registries: the administrator, or else who
// has signed in at this server.
func (m *machine) signedIn(env *environment) (*client.Client, error) {
	p := m.server
	if m.admin.Secret != "" {
		return client.New(client.Profile{Management: p.URL("management"), Authority: p.URL("login") + "/adfs", GraphURL: p.URL("graph"),
			Address: p.Address, CABundle: p.CABundle, Tenant: p.TenantID, Subscription: p.SubscriptionID,
			ClientID: m.admin.ClientID, Secret: secret.New(m.admin.Secret)}, "")
	}
	dir, err := env.configDir()
	if err != nil {
		return nil, err
	}
	last, err := readProfile(dir)
	if problem.Is(err, problem.Unauthenticated) || err == nil && last.Management != p.URL("management") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return client.New(last, filepath.Join(dir, "tokens.json"))
}
