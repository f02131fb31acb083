package registry

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/memo"
)

// Kind is the kind of registries.
var Kind = arm.NewKind("Microsoft.ContainerRegistry/registries")

// Registries serves the registry resource.
type Registries struct {
	*resource.Collection[Properties]
	Managed *identity.Managed
	// Secrets keeps the passwords of admin users. It is set before the first request.
	Secrets resource.Secrets
	// LoginServer makes the login server of a registry's name.
	LoginServer func(name string) string
	// Aliases are public names ("contoso.azurecr.io") under which registries of this server
	// are also known. They are set before the first request.
	Aliases map[string]arm.ID

	remembered *memo.Memo[string, arm.Resource[Properties]]
}

// Remember makes ByName remember what it finds for a generation of the store. It is
// called before the first request.
func (r *Registries) Remember(generation memo.Generation) {
	r.remembered = memo.New[string, arm.Resource[Properties]](generation, 1000, nil)
}

// nameKey is the alternate key by which a registry is found.
const nameKey = "registry"

// NewRegistries returns the service.
func NewRegistries(store resource.Store, managed *identity.Managed, loginServer func(string) string) *Registries {
	collection := &resource.Collection[Properties]{Kind: Kind, Store: store, Keys: func(r arm.Resource[Properties]) map[string]string {
		return map[string]string{nameKey: r.ID.Name()}
	}}
	return &Registries{Collection: collection, Managed: managed, LoginServer: loginServer}
}

var namePattern = regexp.MustCompile(`^[a-zA-Z0-9]{5,50}$`)

// skus are the tiers clients accept.
var skus = map[string]string{"basic": "Basic", "standard": "Standard", "premium": "Premium"}

// ByName finds a registry of the installation by name. What it returns is not to be
// changed.
func (r *Registries) ByName(ctx context.Context, name string) (arm.Resource[Properties], error) {
	return r.remembered.Get(ctx, strings.ToLower(name), func(ctx context.Context) (arm.Resource[Properties], error) {
		res, err := r.Lookup(ctx, nameKey, name)
		return r.named(res), err
	})
}

// Get returns a registry.
func (r *Registries) Get(ctx context.Context, id arm.ID) (arm.Resource[Properties], error) {
	res, err := r.Collection.Get(ctx, id)
	return r.named(res), err
}

// List returns the registries that the query selects.
func (r *Registries) List(ctx context.Context, q resource.Query) ([]arm.Resource[Properties], error) {
	all, err := r.Collection.List(ctx, q)
	for i := range all {
		all[i] = r.named(all[i])
	}
	return all, err
}

// named says under which name a registry is reached now: the document has that of the
// time it was written, and the domain or the port may have changed since.
func (r *Registries) named(res arm.Resource[Properties]) arm.Resource[Properties] {
	res.Properties.LoginServer = r.LoginServer(res.ID.Name())
	res.Properties.settle()
	return res
}

// ContentName is the name under which the content of a registry is kept.
func ContentName(id arm.ID) string { return strings.ToLower(id.Name()) }

// NameOf returns the name of the registry that has host as its login server; false if no
// registry of this installation can have it.
func (r *Registries) NameOf(host string) (string, bool) {
	host = strings.ToLower(host)
	name, _, ok := strings.Cut(host, ".")
	if !ok || !namePattern.MatchString(name) || host != r.LoginServer(name) {
		return "", false
	}
	return name, true
}

// ByHost finds a registry by its login server or by an alias. An alias means the registry
// of one resource ID: another one that has its name is not found.
func (r *Registries) ByHost(ctx context.Context, host string) (arm.Resource[Properties], error) {
	if name, ok := r.NameOf(host); ok {
		return r.ByName(ctx, name)
	}
	var none arm.Resource[Properties]
	id, ok := r.Aliases[strings.ToLower(host)]
	if !ok {
		return none, resource.ErrNotFound
	}
	reg, err := r.ByName(ctx, id.Name())
	if err == nil && reg.ID.Key() != id.Key() {
		return none, resource.ErrNotFound
	}
	return reg, err
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
	if err := put.Properties.check(); err != nil {
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

// NameCheck asks whether a name is free. Its members are those of Azure's request.
type NameCheck struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Group      string `json:"resourceGroupName"` // part of a label, which there is none of
	LabelScope string `json:"autoGeneratedDomainNameLabelScope"`
}

// check refuses what making a registry would refuse.
func (c NameCheck) check() error {
	if c.Type != "" && !strings.EqualFold(c.Type, Kind.String()) {
		return problem.New(problem.Invalid, "InvalidResourceType",
			"The type '%.200s' is not %s.", c.Type, Kind).On("type")
	}
	p := Properties{NameLabelScope: c.LabelScope}
	if err := p.check(); err != nil {
		return problem.From(err).On(labelScope)
	}
	return nil
}

// Availability says whether a name is free.
type Availability struct {
	Available bool    `json:"nameAvailable"`
	Server    *string `json:"availableLoginServerName"` // null if not available
	Reason    *string `json:"reason"`
	Message   *string `json:"message"`
}

// CheckAvailability says whether a registry as asked for could be made.
func (r *Registries) CheckAvailability(ctx context.Context, asked NameCheck) (Availability, error) {
	name := asked.Name
	if err := asked.check(); err != nil {
		return Availability{}, err
	}
	no := func(reason, message string) (Availability, error) {
		return Availability{Reason: &reason, Message: &message}, nil
	}
	if err := CheckName(name); err != nil {
		return no("Invalid", problem.From(err).Message)
	}
	_, err := r.ByName(ctx, name)
	if errors.Is(err, resource.ErrNotFound) {
		return Availability{Available: true, Server: new(r.LoginServer(name))}, nil
	}
	if err != nil {
		return Availability{}, err
	}
	return no("AlreadyExists", "The registry "+name+" is already in use.")
}
