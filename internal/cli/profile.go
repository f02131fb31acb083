package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/client"
	"github.com/acrux/acrux/internal/secret"
)

// configDir is where the client keeps what it remembers.
func (e *environment) configDir() (string, error) {
	if dir := e.getenv("ACRUX_CONFIG_DIR"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".acrux"), err
}

// saved is a profile on disk, with the secret.
type saved struct {
	client.Profile
	Secret string `json:"secret"`
}

// newClient finds out which server is meant and who is asking: by the environment,
// as acrux env prints it, or else by the last login.
func (e *environment) newClient() (*client.Client, error) {
	dir, err := e.configDir()
	if err != nil {
		return nil, err
	}
	p, err := e.profile(dir)
	if err != nil {
		return nil, err
	}
	return client.New(p, filepath.Join(dir, "tokens.json"))
}

func (e *environment) profile(dir string) (client.Profile, error) {
	management := e.getenv("ARM_ENDPOINT")
	p := client.Profile{Management: management, Authority: e.getenv("AD_ENDPOINT"), GraphURL: e.getenv("GRAPH_ENDPOINT"), Address: e.getenv("ACRUX_ADDRESS"),
		CABundle: e.getenv("CA_BUNDLE"), Tenant: e.getenv("TENANT_ID"), Subscription: e.getenv("SUBSCRIPTION_ID"),
		ClientID: e.getenv("SP_ID"), Secret: secret.New(e.getenv("SP_SECRET"))}
	if management != "" && p.ClientID != "" && !p.Secret.Empty() {
		return p, nil
	}
	last, err := readProfile(dir)
	if management != "" && (err != nil || last.Management != management) {
		return p, nil // where nobody is signed in
	}
	if err == nil { // the environment names this server, or none, and nobody
		e.noteEnvironment(last)
	}
	return last, err
}

// readProfile reads who signed in last.
func readProfile(dir string) (client.Profile, error) {
	text, err := os.ReadFile(filepath.Join(dir, "profile.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return client.Profile{}, problem.New(problem.Unauthenticated, "NotSignedIn", "no server is chosen and nobody is signed in").
			Hint(`eval "$(acrux env --data DIR)"`).Hint("acrux login --server HOST:PORT, if the server runs on another machine")
	}
	if err != nil {
		return client.Profile{}, err
	}
	var s saved
	if err := json.Unmarshal(text, &s); err != nil || s.Management == "" {
		return client.Profile{}, problem.New(problem.Unauthenticated, "ProfileDamaged", "the profile in %s is damaged", dir).Hint("acrux logout")
	}
	s.Profile.Secret = secret.New(s.Secret)
	return s.Profile, nil
}

// login signs in and remembers it. The server is the one of the environment, or of the
// login before.
func login(ctx context.Context, c *call) (any, error) {
	dir, err := c.configDir()
	if err != nil {
		return nil, err
	}
	for _, other := range []string{"username", "password", "service-principal", "identity", "use-device-code"} {
		if c.given("invitation") && c.given(other) {
			return nil, invalidArgument("--invitation says who signs in, and asks for a new password; --%s does not go with it", other)
		}
	}
	p, err := c.chosenServer(ctx, dir)
	if err != nil {
		return nil, err
	}
	if tenant := c.text("tenant"); tenant != "" {
		p.Tenant = tenant
	}
	if err := c.choose(&p); err != nil {
		return nil, err
	}
	fresh, err := client.New(p, filepath.Join(dir, "tokens.json"))
	if err != nil {
		return nil, err
	}
	if err := c.signInUser(ctx, fresh); err != nil {
		return nil, err
	}
	fresh.Forget() // so that what follows shows whether he gets in now
	p = fresh.Profile
	var list struct{ Value []map[string]any }
	if _, err := fresh.Do(ctx, "GET", "/subscriptions", "2022-12-01", nil, &list); err != nil {
		return nil, err
	}
	if len(list.Value) == 0 && c.text("invitation") != "" {
		c.warn("note: %s has no role anywhere yet: an owner gives one by az role assignment create --assignee %s "+
			"--role ROLE --scope SCOPE", whoIs(p), whoIs(p))
	} else if len(list.Value) == 0 && !c.toggle("allow-no-subscriptions") {
		return nil, problem.New(problem.Denied, "NoSubscriptions", "No subscriptions found for %s: it has no role anywhere", whoIs(p)).Hint("acrux login --allow-no-subscriptions …")
	}
	text, err := json.MarshalIndent(saved{Profile: p, Secret: p.Secret.Reveal()}, "", "  ")
	if err != nil {
		return nil, err
	}
	if other := c.getenv("ARM_ENDPOINT"); other != "" && other != p.Management {
		c.warn("note: the environment names the server %s, which counts before this login at %s; "+
			"unset ARM_ENDPOINT to use it", other, p.Management)
	} else if id := c.getenv("SP_ID"); id != "" && c.getenv("SP_SECRET") != "" && (id != p.ClientID || p.Method != client.BySecret) {
		c.warn("note: the environment signs in as %s, which counts before this login; unset SP_ID and SP_SECRET to use it", id)
	}
	return accounts(list.Value, p), secret.WriteFile(filepath.Join(dir, "profile.json"), text)
}

// choose puts into p how and as whom the flags say to sign in.
func (c *call) choose(p *client.Profile) error {
	user, password, federated := c.text("username"), c.text("password"), c.text("federated-token")
	p.Method, p.ClientID, p.UserName, p.Certificate, p.Secret = client.BySecret, user, "", "", secret.New(password)
	switch {
	case c.toggle("identity"):
		p.Method, p.Secret = client.ByIdentity, secret.String{}
	case !c.toggle("service-principal"):
		p.Method, p.ClientID, p.UserName, p.Secret = client.ByUser, "", user, secret.String{}
	case user == "":
		return invalidArgument("--service-principal needs --username")
	case federated != "":
		p.Method, p.Secret = client.ByFederation, secret.New(federated)
	case password == "":
		return invalidArgument("--service-principal needs --password, a secret or the file of a certificate with its key, or --federated-token")
	default:
		if info, err := os.Stat(password); err == nil && info.Mode().IsRegular() {
			file, err := filepath.Abs(password)
			p.Method, p.Certificate, p.Secret = client.ByCertificate, file, secret.String{}
			return err
		}
	}
	return nil
}

// signInUser lets a user sign in: with his password, or elsewhere in a browser.
func (c *call) signInUser(ctx context.Context, fresh *client.Client) error {
	if c.text("invitation") != "" {
		return c.accept(ctx, fresh)
	}
	if fresh.Method != client.ByUser {
		return nil
	}
	if fresh.UserName == "" || c.toggle("use-device-code") {
		c.signals.goesOn("Canceled: nobody was signed in")
		return fresh.SignInDevice(ctx, func(message string) { c.warn("%s", message) })
	}
	password := c.text("password")
	if password == "" {
		if !isTerminal(c.stdin) {
			return invalidArgument("--username needs --password where nobody can be asked, or --use-device-code")
		}
		var err error
		if password, err = c.readHidden("Password: "); err != nil {
			return err
		}
	}
	return fresh.SignInUser(ctx, secret.New(password))
}

// whoIs names a principal as the Azure CLI shows it.
func whoIs(p client.Profile) string {
	switch {
	case p.Method == client.ByUser:
		return p.UserName
	case p.Method == client.ByIdentity && p.ClientID == "":
		return "systemAssignedIdentity"
	case p.Method == client.ByIdentity:
		return "userAssignedIdentity"
	}
	return p.ClientID
}

func logout(_ context.Context, c *call) (any, error) {
	dir, err := c.configDir()
	if err != nil {
		return nil, err
	}
	for _, file := range []string{"profile.json", "tokens.json"} {
		if err := os.Remove(filepath.Join(dir, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, nil
}

// accounts are subscriptions as the Azure CLI shows them.
func accounts(list []map[string]any, p client.Profile) []map[string]any {
	all := []map[string]any{}
	for _, s := range list {
		all = append(all, map[string]any{"cloudName": "Acrux", "id": s["subscriptionId"], "isDefault": true, "name": s["displayName"], "state": s["state"],
			"tenantId": s["tenantId"], "homeTenantId": s["tenantId"], "managedByTenants": []any{}, "user": map[string]any{"name": whoIs(p), "type": userType(p)}})
	}
	return all
}

func userType(p client.Profile) string {
	if p.Method == client.ByUser {
		return "user"
	}
	return "servicePrincipal"
}

func listAccounts(ctx context.Context, c *call) (any, error) {
	var list struct{ Value []map[string]any }
	_, err := c.client.Do(ctx, "GET", "/subscriptions", "2022-12-01", nil, &list)
	return accounts(list.Value, c.client.Profile), err
}

// setAccount chooses the subscription. There is one, so it can only be named right.
func setAccount(ctx context.Context, c *call) (any, error) {
	all, err := listAccounts(ctx, c)
	if err != nil {
		return nil, err
	}
	want := c.text("subscription")
	for _, account := range all.([]map[string]any) {
		if account["id"] == want || account["name"] == want {
			return nil, nil
		}
	}
	return nil, problem.New(problem.NotFound, "SubscriptionNotFound", "the subscription '%s' doesn't exist here", want).Hint("az account list")
}

func showAccount(ctx context.Context, c *call) (any, error) {
	var list struct{ Value []map[string]any }
	if _, err := c.client.Do(ctx, "GET", "/subscriptions", "2022-12-01", nil, &list); err != nil {
		return nil, err
	}
	all := accounts(list.Value, c.client.Profile)
	if len(all) == 0 {
		return nil, problem.New(problem.NotFound, "NoSubscriptions", "the principal %s has no role anywhere", whoIs(c.client.Profile))
	}
	return all[0], nil
}

func accessToken(ctx context.Context, c *call) (any, error) {
	audience := c.text("resource")
	if audience == "" {
		audience = c.client.Management
	}
	token, err := c.client.Token(ctx, audience)
	return map[string]any{"accessToken": token, "subscription": c.client.Subscription, "tenant": c.client.Tenant, "tokenType": "Bearer"}, err
}
