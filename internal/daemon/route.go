package daemon

import (
	"fmt"

	"github.com/acrux/acrux/internal/access/assertion"
	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/access/signin"
	"github.com/acrux/acrux/internal/access/token"
	"github.com/acrux/acrux/internal/memo"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/server/armapi"
	"github.com/acrux/acrux/internal/server/blobapi"
	"github.com/acrux/acrux/internal/server/edge"
	"github.com/acrux/acrux/internal/server/graphapi"
	"github.com/acrux/acrux/internal/server/hooksapi"
	"github.com/acrux/acrux/internal/server/loginapi"
	"github.com/acrux/acrux/internal/server/registryapi"
	"github.com/acrux/acrux/internal/store/sqlstore"
)

// parts are what hosts need beside the services.
type parts struct {
	issuer    *token.Issuer
	checker   *rbac.Checker
	directory *identity.Directory
	documents sqlstore.Documents
	storage   *blobapi.Server
}

// route makes the hosts, and the router that tells them apart.
func (s *Server) route(p parts) error {
	pub := s.Published
	management := &armapi.Server{Log: s.log, Issuer: p.issuer, Checker: p.checker, Directory: p.directory, Documents: p.documents, Subscription: pub.SubscriptionID, Location: s.config.Location, Reserve: s.reserve,
		Endpoints: armapi.Endpoints{Management: pub.URL("management"), Login: pub.URL("login"), Graph: pub.URL("graph"),
			ACRSuffix: "azurecr." + pub.Suffix(), Vault: "vault." + pub.Suffix(), Storage: pub.Suffix()}}
	management.MountAll(s.services)
	guesses := signin.NewGuesses()
	registryHost := &registryapi.Server{Log: s.log, Registries: s.services.Registries, Content: s.content, Trash: sqlstore.Registry{DB: s.db}, Purger: s.purger, Pulls: s.pulls, Issuer: p.issuer, Checker: p.checker, Directory: p.directory, Runs: s.services.Runs,
		Tokens: s.services.Tokens, Guesses: guesses,
		Audiences: append(management.Audiences(), registryclient.Audience)}

	signIn := signin.NewService(sqlstore.SignIn{DB: s.db})
	assertions := &assertion.Verifier{Directory: p.directory, Trusts: s.services.Federated.TrustsOf, Issuer: p.issuer, SignIn: signIn, Keys: assertion.NewKeys(s.dialer.Transport()), Host: pub.URL("login")}

	if s.config.RateLimits != "" {
		var err error
		if registryHost.Limiter, err = registryapi.NewLimiter(s.config.RateLimits); err != nil {
			return fmt.Errorf("rateLimits: %w", err)
		}
	}
	proxies, err := s.config.proxies()
	if err != nil {
		return err
	}
	limits := s.config.Limits
	s.router = &edge.Router{Log: s.log, Stall: limits.Stall, LeastRate: limits.LeastRate,
		Anonymous: limits.AnonymousBody, Proxies: proxies}
	if !s.config.Database.Empty() { // else the generation is a number in memory
		s.router.Context = memo.Once
	}
	document, authority := s.discovery()
	s.router.Path(DiscoveryPath, document)
	s.router.Path(AuthorityPath, authority)
	s.router.Host("management."+pub.Domain, management)
	s.router.Host("login."+pub.Domain, &loginapi.Server{Log: s.log, Issuer: p.issuer, Directory: p.directory,
		SignIn: signIn, Guesses: guesses, Assertions: assertions, URL: pub.URL("login"), TenantID: pub.TenantID})
	s.router.Host("graph."+pub.Domain, &graphapi.Server{Log: s.log, Issuer: p.issuer, Directory: p.directory, Checker: p.checker, URL: pub.URL("graph"), TenantID: pub.TenantID, Subscription: pub.SubscriptionID, Reserve: s.reserve})
	s.router.Host("hooks."+pub.Domain, hooksapi.New(s.log, s.triggers))
	s.router.Below("blob."+pub.Domain, p.storage)
	s.router.Below("azurecr."+pub.Domain, registryHost)
	s.router.Below("vault."+pub.Domain, edge.Absent("Key vaults"))
	for _, alias := range s.config.LoginServerAliases.names() {
		s.router.Host(alias, registryHost)
	}
	return nil
}
