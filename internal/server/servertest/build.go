// Package servertest wires the hosts of an installation on a directory, for tests of
// the server packages: everything but agents and background duties is real, the
// database, the blobs, the signatures. It listens on loopback.
package servertest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/access/assertion"
	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/access/signin"
	"github.com/acrux/acrux/internal/access/tenant"
	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/registry/collect"
	"github.com/acrux/acrux/internal/registry/mirror"
	"github.com/acrux/acrux/internal/registry/repotoken"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/server/armapi"
	"github.com/acrux/acrux/internal/server/blobapi"
	"github.com/acrux/acrux/internal/server/edge"
	"github.com/acrux/acrux/internal/server/graphapi"
	"github.com/acrux/acrux/internal/server/hooksapi"
	"github.com/acrux/acrux/internal/server/loginapi"
	"github.com/acrux/acrux/internal/server/registryapi"
	"github.com/acrux/acrux/internal/store/blobstore"
	"github.com/acrux/acrux/internal/store/sqlstore"
	"github.com/acrux/acrux/internal/tasks/pool"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/runlog"
	"github.com/acrux/acrux/internal/tasks/task"
	"github.com/acrux/acrux/internal/tasks/taskrun"
	"github.com/acrux/acrux/internal/tasks/trigger"
	"github.com/acrux/acrux/internal/tasks/upload"
)

// Domain is what all hosts end in; they are never looked up.
const Domain = "acrux.test"

// aliases are public names under which two registries of a test answer, if it has them.
func aliases() map[string]arm.ID {
	group := arm.GroupID(Subscription, "MyGroup")
	return map[string]arm.ID{"myregistry.azurecr.io": group.In(registry.Kind, "MyRegistry"),
		"sourcereg.azurecr.io": group.In(registry.Kind, "SourceReg")}
}

// Tenant and Subscription are the same in every installation under test.
const (
	Tenant       = "10000000-0000-4000-8000-000000000001"
	Subscription = "20000000-0000-4000-8000-000000000002"
)

// Stack is an installation without a listener.
type Stack struct {
	armapi.Services
	DB         *sqlstore.DB
	Queue      *sqlstore.Queue // to be run by tests that want it
	Content    *registry.Content
	Pulls      *registry.PullCounter
	Issuer     *token.Issuer
	Checker    *rbac.Checker
	Directory  *identity.Directory
	SignIn     *signin.Service
	Assertions *assertion.Verifier
	ARM        *armapi.Server
	Storage    *blobapi.Server
	Logs       *runlog.Logs
	Dialer     *egress.Dialer
	Sealer     *secret.Sealer
	Router     *edge.Router
	Suffix     string // the domain with the port
	Dir        string // where everything else is kept
	Database   string // where sqlstore opens it
}

// Build wires an installation in dir, with a database that may be there too or elsewhere,
// whose hosts are reached at a loopback address.
func Build(ctx context.Context, dir, database, address string) (*Stack, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	s := &Stack{Suffix: Domain + ":" + port, Dir: dir, Database: database}
	if s.Sealer, err = secret.OpenSealer(filepath.Join(dir, "keys", "master.key")); err != nil {
		return nil, err
	}
	if s.DB, err = sqlstore.Open(ctx, database); err != nil {
		return nil, err
	}
	if err := s.wire(ctx, dir, address); err != nil {
		return nil, errors.Join(err, s.DB.Close())
	}
	return s, nil
}

// URL is the address of one of the hosts.
func (s *Stack) URL(host string) string { return "https://" + host + "." + s.Suffix }

// LoginServer is the host of a registry.
func (s *Stack) LoginServer(name string) string {
	return strings.ToLower(name) + ".azurecr." + s.Suffix
}

func (s *Stack) wire(ctx context.Context, dir, address string) (err error) {
	now := time.Now()
	if s.Issuer, err = token.Open(ctx, s.DB, s.Sealer, Tenant, s.URL("login")+"/"+Tenant+"/", now); err != nil {
		return err
	}
	documents := sqlstore.Documents{DB: s.DB}
	s.Directory = &identity.Directory{Store: sqlstore.Principals{DB: s.DB}, TenantID: Tenant}
	s.Checker = rbac.NewChecker(sqlstore.Assignments{DB: s.DB}, s.Directory, s.DB.Generation)
	s.Groups, s.Identities = tenant.NewGroups(documents), identity.NewManagedService(documents, s.Directory)
	s.Federated = identity.NewFederated(documents, s.Directory)
	s.Registries = registry.NewRegistries(documents, s.Identities, s.LoginServer)
	s.Registries.Aliases = aliases()
	s.Registries.Secrets = sqlstore.Secrets{DB: s.DB, Sealer: s.Sealer}
	s.ScopeMaps, s.Tokens = repotoken.New(documents, s.Registries.Secrets, s.DB.Generation)
	blobs, err := blobstore.OpenLocal(filepath.Join(dir, "blobs"))
	if err != nil {
		return err
	}
	if s.Logs, err = runlog.Open(filepath.Join(dir, "runlogs")); err != nil {
		return err
	}
	uploads, err := upload.Open(filepath.Join(dir, "uploads"))
	if err != nil {
		return err
	}
	s.Content = &registry.Content{Store: sqlstore.Registry{DB: s.DB}, Blobs: blobs, Policies: s.Registries.PoliciesOf}
	s.Content.Remember(sqlstore.Registry{DB: s.DB}.Generation)
	s.Registries.Remember(s.DB.Generation)
	s.Pulls = &registry.PullCounter{Content: s.Content}
	s.Services.Content = s.Content
	machine := egress.Policy{Loopback: true}
	s.Dialer = &egress.Dialer{Policy: machine, Content: machine, Own: func(host string) (string, bool) {
		name := edge.HostName(host)
		return address, strings.HasSuffix(name, "."+Domain)
	}}
	s.Runs = &run.Service{Store: sqlstore.Runs{DB: s.DB}, Registries: s.Registries, Directory: s.Directory, Issuer: s.Issuer, Sealer: s.Sealer, Logs: s.Logs, Uploads: uploads}
	secrets := sqlstore.Secrets{DB: s.DB, Sealer: s.Sealer}
	s.Tasks = task.NewService(documents, secrets, s.Identities, s.Runs)
	s.Tasks.Uploads = uploads
	s.Triggers = &trigger.Service{Log: slog.New(slog.DiscardHandler), Store: sqlstore.Triggers{DB: s.DB}, Tasks: s.Tasks, Runs: s.Runs,
		Registries: s.Registries, Content: s.Content, Outbox: sqlstore.Registry{DB: s.DB}, Pushed: s.DB.Pushed,
		Elsewhere: registryclient.New(s.Dialer, "acrux"), Every: trigger.DefaultInterval}
	s.Tasks.Planner = s.Triggers
	s.TaskRuns, s.Pools = taskrun.NewService(documents, secrets, s.Identities, s.Runs), pool.NewService(documents, s.Runs)
	s.Runs.Tasks, s.Runs.Pools, s.Issuer.Active = s.Tasks, s.Pools, s.Runs.Active
	log := slog.New(slog.DiscardHandler)
	if s.Queue, err = sqlstore.NewQueue(s.DB, "servertest", log); err != nil {
		return err
	}
	s.Imports = mirror.New(s.Registries, s.Content, s.Dialer, sqlstore.Operations{DB: s.DB}, s.Sealer, s.Queue)
	s.Queue.Handle(s.Imports.Jobs())
	urlKey, err := s.Sealer.Derive("signed URLs")
	if err != nil {
		return err
	}
	s.Storage = &blobapi.Server{Log: log, Runs: s.Runs, Logs: s.Logs, Uploads: uploads, Checker: s.Checker,
		Registries: s.Registries, Domain: s.Suffix, Key: urlKey}
	s.LogURL, s.UploadURL, s.Runs.SourceURL = s.Storage.LogURL, s.Storage.UploadURL, s.Storage.SourceURL
	s.ARM = &armapi.Server{Log: log, Issuer: s.Issuer, Checker: s.Checker, Directory: s.Directory, Documents: documents, Subscription: Subscription, Location: "eastus",
		Endpoints: armapi.Endpoints{Management: s.URL("management"), Login: s.URL("login"), Graph: s.URL("graph"), ACRSuffix: "azurecr." + s.Suffix, Vault: "vault." + s.Suffix, Storage: s.Suffix}}
	s.HookURL = func(id string) string { return hooksapi.URL(s.URL("hooks"), id) }
	s.ARM.MountAll(s.Services)
	s.route(log)
	return nil
}

func (s *Stack) route(log *slog.Logger) {
	guesses := signin.NewGuesses()
	contents := &registryapi.Server{Log: log, Registries: s.Registries, Content: s.Content, Trash: sqlstore.Registry{DB: s.DB},
		Purger: &collect.Purger{Store: sqlstore.Collect{Registry: sqlstore.Registry{DB: s.DB}}, Content: s.Content}, Pulls: s.Pulls, Issuer: s.Issuer, Checker: s.Checker, Directory: s.Directory, Runs: s.Runs,
		Tokens: s.Tokens, Guesses: guesses, Audiences: append(s.ARM.Audiences(), registryclient.Audience)}
	s.SignIn = signin.NewService(sqlstore.SignIn{DB: s.DB})
	s.Assertions = &assertion.Verifier{Directory: s.Directory, Trusts: s.Federated.TrustsOf, Issuer: s.Issuer, SignIn: s.SignIn, Keys: assertion.NewKeys(s.Dialer.Transport()), Host: s.URL("login")}
	s.Router = &edge.Router{Log: log}
	s.Router.Host("management."+Domain, s.ARM)
	s.Router.Host("login."+Domain, &loginapi.Server{Log: log, Issuer: s.Issuer, Directory: s.Directory,
		SignIn: s.SignIn, Guesses: guesses, Assertions: s.Assertions, URL: s.URL("login"), TenantID: Tenant})
	s.Router.Host("graph."+Domain, &graphapi.Server{Log: log, Issuer: s.Issuer, Directory: s.Directory, Checker: s.Checker, URL: s.URL("graph"), TenantID: Tenant, Subscription: Subscription})
	s.Router.Host("hooks."+Domain, hooksapi.New(log, s.Triggers))
	s.Router.Below("blob."+Domain, s.Storage)
	s.Router.Below("azurecr."+Domain, contents)
	s.Router.Below("vault."+Domain, edge.Absent("Key vaults"))
	for alias := range s.Registries.Aliases {
		s.Router.Host(alias, contents)
	}
}

// Person is a service principal that tests sign in as.
type Person struct {
	identity.Principal
	Secret string
}

// NewPerson makes a service principal.
func (s *Stack) NewPerson(ctx context.Context, name string) (Person, error) {
	p, text, err := s.Directory.NewApplication(ctx, name, time.Now())
	return Person{Principal: p, Secret: text.Reveal()}, err
}

// Assign gives a person a role, by name, at a scope, and returns the assignment's name.
func (s *Stack) Assign(ctx context.Context, who identity.ObjectID, role string, scope arm.ID) (string, error) {
	for _, r := range rbac.Roles() {
		if r.Name == role {
			name := uuid.NewString()
			return name, s.Checker.Store.PutAssignment(ctx, rbac.Assignment{Name: name, Scope: scope, PrincipalID: who, PrincipalType: "ServicePrincipal", RoleID: r.ID, Created: time.Now()})
		}
	}
	return "", errors.New("there is no role " + role)
}
