package registry

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
)

// Kind is the kind of registries.
var Kind = arm.NewKind("Microsoft.ContainerRegistry/registries")

// Properties are those of a registry. Members that say "enabled" about something
// Acrux does not do yet are shown as Azure shows them when they are off.
type Properties struct {
	LoginServer              string     `json:"loginServer"`
	CreationDate             string     `json:"creationDate"`
	ProvisioningState        string     `json:"provisioningState"`
	AdminUserEnabled         bool       `json:"adminUserEnabled"`
	Policies                 *Policies  `json:"policies"`
	Encryption               Encryption `json:"encryption"`
	DataEndpointEnabled      bool       `json:"dataEndpointEnabled"`
	DataEndpointHostNames    []string   `json:"dataEndpointHostNames"`
	PrivateEndpoints         []string   `json:"privateEndpointConnections"`
	PublicNetworkAccess      string     `json:"publicNetworkAccess"`
	NetworkRuleBypassOptions string     `json:"networkRuleBypassOptions"`
	ZoneRedundancy           string     `json:"zoneRedundancy"`
	AnonymousPullEnabled     bool       `json:"anonymousPullEnabled"`
	RoleAssignmentMode       string     `json:"roleAssignmentMode"`

	// NetworkRules are taken in to be refused: nothing keeps them.
	NetworkRules *NetworkRules `json:"networkRuleSet,omitempty"`
}

// NetworkRules say from where a registry may be used.
type NetworkRules struct {
	DefaultAction string `json:"defaultAction"`
	IPRules       []any  `json:"ipRules"`
}

// Encryption says whether a customer's key encrypts the registry.
type Encryption struct {
	Status string `json:"status"`
}

// Policies are the policies of a registry.
type Policies struct {
	Quarantine    Policy `json:"quarantinePolicy"`
	Trust         Policy `json:"trustPolicy"`
	Retention     Policy `json:"retentionPolicy"`
	Export        Policy `json:"exportPolicy"`
	ARMAudience   Policy `json:"azureADAuthenticationAsArmPolicy"`
	SoftDeleteDay Policy `json:"softDeletePolicy"`
}

// Policy is a switch with its number, whichever of them the policy has.
type Policy struct {
	Type          string `json:"type,omitempty"`
	Days          int    `json:"days,omitempty"`
	RetentionDays int    `json:"retentionDays,omitempty"`
	Status        string `json:"status"`
}

// defaultPolicies are those of a new registry.
func defaultPolicies() *Policies {
	off, on := Policy{Status: "disabled"}, Policy{Status: "enabled"}
	return &Policies{Quarantine: off, Trust: Policy{Type: "Notary", Status: "disabled"}, Retention: Policy{Days: 7, Status: "disabled"},
		Export: on, ARMAudience: on, SoftDeleteDay: Policy{RetentionDays: 7, Status: "disabled"}}
}

// Registries serves the registry resource.
type Registries struct {
	*resource.Collection[Properties]
	Managed *identity.Managed
	// Secrets keeps the passwords of admin users. It is set before the first request.
	Secrets resource.Secrets
	// LoginServer makes the login server of a registry's name.
	LoginServer func(name string) string
	// Aliases are public suffixes ("azurecr.io") under which registries of this server
	// are also known.
	Aliases []string
}

// nameKey is the alternate key by which a registry is found.
const nameKey = "registry"

// NewRegistries returns the service.
func NewRegistries(store resource.Store, managed *identity.Managed, loginServer func(string) string, aliases []string) *Registries {
	collection := &resource.Collection[Properties]{Kind: Kind, Store: store, Keys: func(r arm.Resource[Properties]) map[string]string {
		return map[string]string{nameKey: r.ID.Name()}
	}}
	return &Registries{Collection: collection, Managed: managed, LoginServer: loginServer, Aliases: aliases}
}

var namePattern = regexp.MustCompile(`^[a-zA-Z0-9]{5,50}$`)

// skus are the tiers clients accept.
var skus = map[string]string{"basic": "Basic", "standard": "Standard", "premium": "Premium"}

// ByName finds a registry of the installation by name.
func (r *Registries) ByName(ctx context.Context, name string) (arm.Resource[Properties], error) {
	res, err := r.Lookup(ctx, nameKey, name)
	return r.named(res), err
}

// Get returns a registry.
func (r *Registries) Get(ctx context.Context, id arm.ID) (arm.Resource[Properties], error) {
	res, err := r.Collection.Get(ctx, id)
	return r.named(res), err
}

// List returns all registries below scope.
func (r *Registries) List(ctx context.Context, scope arm.ID) ([]arm.Resource[Properties], error) {
	all, err := r.Collection.List(ctx, scope)
	for i := range all {
		all[i] = r.named(all[i])
	}
	return all, err
}

// named says under which name a registry is reached now: the document has that of the
// time it was written, and the domain or the port may have changed since.
func (r *Registries) named(res arm.Resource[Properties]) arm.Resource[Properties] {
	res.Properties.LoginServer = r.LoginServer(res.ID.Name())
	return res
}

// NameOf returns the name of the registry that has host as its login server, by the
// configured name or an alias; false if host cannot be one of ours.
func (r *Registries) NameOf(host string) (string, bool) {
	host = strings.ToLower(host)
	name, rest, ok := strings.Cut(host, ".")
	if !ok || !namePattern.MatchString(name) {
		return "", false
	}
	if host == r.LoginServer(name) {
		return name, true
	}
	for _, alias := range r.Aliases {
		if rest == alias {
			return name, true
		}
	}
	return "", false
}

// Put creates or changes a registry.
func (r *Registries) Put(ctx context.Context, put resource.Put[Properties]) (arm.Resource[Properties], bool, error) {
	var none arm.Resource[Properties]
	if err := CheckName(put.ID.Name()); err != nil {
		return none, false, err
	}
	if err := checkSKU(&put); err != nil {
		return none, false, err
	}
	if err := checkProperties(put.Properties); err != nil {
		return none, false, err
	}
	res, created, err := r.PutResource(ctx, put, func(ctx context.Context, old, res *arm.Resource[Properties]) error {
		r.complete(old, res)
		if err := r.keepPasswords(ctx, old, res); err != nil {
			return err
		}
		var err error
		res.Identity, err = r.Managed.Resolve(ctx, res.ID, res.Identity, put.Identity, put.Now)
		return err
	})
	if errors.Is(err, resource.ErrDuplicate) {
		err = problem.New(problem.Conflict, "AlreadyInUse", "The registry DNS name %s is already in use. You can check if the name is already claimed using following API: https://docs.microsoft.com/rest/api/containerregistry/registries/checknameavailability",
			r.LoginServer(put.ID.Name())).On("name")
	}
	return res, created, err
}

// CheckName returns a problem unless name may name a registry.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return problem.New(problem.Invalid, "InvalidResourceName", "The registry name '%s' is not valid: it has 5 to 50 letters and digits.", name).On("name")
	}
	return nil
}

func checkSKU(put *resource.Put[Properties]) error {
	if put.SKU == nil {
		return problem.New(problem.Invalid, "MissingSku", "A registry needs a SKU: Basic, Standard or Premium.").On("sku")
	}
	name, ok := skus[strings.ToLower(put.SKU.Name)]
	if !ok {
		return problem.New(problem.Invalid, "InvalidSku", "The SKU '%s' is not one of Basic, Standard, Premium.", put.SKU.Name).On("sku.name")
	}
	put.SKU = &arm.SKU{Name: name, Tier: name}
	return nil
}

// registryPermissions is the role assignment mode there is: roles count for whole
// registries.
const registryPermissions = "LegacyRegistryPermissions"

// checkProperties refuses what Acrux cannot do, so that nobody relies on it.
func checkProperties(p Properties) error {
	refuse := func(what, member string) error {
		return problem.New(problem.Unsupported, "NotImplemented", "%s is not available in this version of Acrux.", what).On("properties." + member)
	}
	switch {
	case p.DataEndpointEnabled:
		return refuse("Dedicated data endpoints", "dataEndpointEnabled")
	case strings.EqualFold(p.PublicNetworkAccess, "Disabled"):
		return refuse("Closing the public network", "publicNetworkAccess")
	case strings.EqualFold(p.ZoneRedundancy, "Enabled"):
		return refuse("Zone redundancy", "zoneRedundancy")
	case strings.EqualFold(p.Encryption.Status, "enabled"):
		return refuse("Encryption with a customer's key", "encryption")
	case p.NetworkRules != nil && (strings.EqualFold(p.NetworkRules.DefaultAction, "Deny") || len(p.NetworkRules.IPRules) > 0):
		return refuse("Restricting a registry to networks", "networkRuleSet")
	case p.RoleAssignmentMode != "" && !strings.EqualFold(p.RoleAssignmentMode, registryPermissions):
		return refuse("The role assignment mode '"+p.RoleAssignmentMode+"'", "roleAssignmentMode")
	}
	return checkPolicies(p.Policies, refuse)
}

func checkPolicies(p *Policies, refuse func(what, member string) error) error {
	if p == nil {
		return nil
	}
	for member, policy := range map[string]Policy{"quarantinePolicy": p.Quarantine, "trustPolicy": p.Trust, "retentionPolicy": p.Retention, "softDeletePolicy": p.SoftDeleteDay} {
		if strings.EqualFold(policy.Status, "enabled") {
			return refuse("The policy "+member, "policies."+member)
		}
	}
	for member, policy := range map[string]Policy{"exportPolicy": p.Export, "azureADAuthenticationAsArmPolicy": p.ARMAudience} {
		if strings.EqualFold(policy.Status, "disabled") {
			return refuse("Disabling the policy "+member, "policies."+member)
		}
	}
	return nil
}

// complete fills in what the server decides.
func (r *Registries) complete(old, res *arm.Resource[Properties]) {
	p := &res.Properties
	if old != nil {
		p.CreationDate = old.Properties.CreationDate
	} else {
		p.CreationDate = arm.Time(res.Created)
	}
	p.LoginServer, p.ProvisioningState = r.LoginServer(res.ID.Name()), "Succeeded"
	if p.Policies == nil {
		p.Policies = defaultPolicies()
	}
	p.Encryption, p.DataEndpointHostNames, p.PrivateEndpoints = Encryption{Status: "disabled"}, []string{}, []string{}
	p.PublicNetworkAccess, p.NetworkRuleBypassOptions, p.ZoneRedundancy = "Enabled", "AzureServices", "Disabled"
	p.RoleAssignmentMode, p.NetworkRules = registryPermissions, nil
}

// Availability says whether a name is free.
type Availability struct {
	Available bool    `json:"nameAvailable"`
	Reason    *string `json:"reason"`
	Message   *string `json:"message"`
}

// CheckAvailability says whether a registry of this name could be made.
func (r *Registries) CheckAvailability(ctx context.Context, name string) (Availability, error) {
	no := func(reason, message string) (Availability, error) {
		return Availability{Reason: &reason, Message: &message}, nil
	}
	if err := CheckName(name); err != nil {
		return no("Invalid", problem.From(err).Message)
	}
	_, err := r.ByName(ctx, name)
	if errors.Is(err, resource.ErrNotFound) {
		return Availability{Available: true}, nil
	}
	if err != nil {
		return Availability{}, err
	}
	return no("AlreadyExists", "The registry "+name+" is already in use.")
}

// sweepEvery is how often expired uploads are looked for.
const sweepEvery = time.Hour

// Sweeper throws away expired uploads, now and then. It is a background duty.
type Sweeper struct {
	Content *Content
	Failed  func(error)
}

// Run sweeps until ctx ends.
func (s *Sweeper) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		if err := s.Content.SweepUploads(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.Failed(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
