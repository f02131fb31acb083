// Package pool holds agent pools: names under which a registry's runs wait for agents
// of their own. A pool is a description; its agents are processes that ask for its
// runs. A run whose pool has none stays queued, and says so.
//
//	Succeeded ──delete──▶ Deleting ──a few seconds──▶ gone
//
// Clients look at a pool they have just deleted and expect to find it (az-wire 9.6).
package pool

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
)

// Kind is the kind of agent pools.
var Kind = arm.NewKind("Microsoft.ContainerRegistry/registries/agentPools")

// Properties are those of an agent pool.
type Properties struct {
	Count             int    `json:"count"` // agents that are wanted
	Tier              string `json:"tier"`  // size of an agent
	OS                string `json:"os"`
	Subnet            string `json:"virtualNetworkSubnetResourceId,omitempty"`
	ProvisioningState string `json:"provisioningState"`
}

const (
	succeeded = "Succeeded"
	deleting  = "Deleting"
)

// deletingTime is how long a deleted pool is still seen.
const deletingTime = 3 * time.Second

// Pool is an agent pool as a resource.
type Pool = arm.Resource[Properties]

// Queue is what a pool's runs are kept in.
type Queue interface {
	// CountQueued counts the runs of a registry that wait for agents of the pool.
	CountQueued(ctx context.Context, registry arm.ID, pool string) (int, error)
	// CancelPool ends the runs of a registry that wait for agents of the pool.
	CancelPool(ctx context.Context, registry arm.ID, pool string, now time.Time) error
}

// Service serves agent pools. Its fields are set once.
type Service struct {
	*resource.Collection[Properties]
	Queue Queue
}

// NewService returns the service.
func NewService(store resource.Store, queue Queue) *Service {
	return &Service{Collection: &resource.Collection[Properties]{Kind: Kind, Store: store}, Queue: queue}
}

// tiers are the sizes of agents that Azure has; agents here are as large as they are.
var tiers = map[string]string{"s1": "S1", "s2": "S2", "s3": "S3", "i6": "I6"}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9-]{3,20}$`)

// maxCount bounds the agents of a pool.
const maxCount = 1000

// Get returns a pool, also one that is being deleted.
func (s *Service) Get(ctx context.Context, id arm.ID) (Pool, error) {
	res, err := s.Collection.Get(ctx, id)
	if err == nil && gone(res, time.Now()) {
		return Pool{}, resource.NotFound(Kind.Canonical(id))
	}
	return res, err
}

// List returns the pools that the query selects, without those that are gone.
func (s *Service) List(ctx context.Context, q resource.Query) ([]Pool, error) {
	var there []Pool
	now, wanted := time.Now(), q.N
	for {
		all, err := s.Collection.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, res := range all {
			if !gone(res, now) {
				there = append(there, res)
			}
		}
		if wanted == 0 || len(there) == wanted || len(all) < q.N {
			return there, nil
		}
		q.After, q.N = all[len(all)-1].ID.Key(), wanted-len(there)
	}
}

// gone reports whether a deleted pool has been seen for long enough. What is left of it
// is a document that the next pool of the name replaces.
func gone(p Pool, now time.Time) bool {
	return p.Properties.ProvisioningState == deleting && now.Sub(p.Updated) > deletingTime
}

// Put creates or changes a pool.
func (s *Service) Put(ctx context.Context, put resource.Put[Properties]) (Pool, bool, error) {
	if !namePattern.MatchString(put.ID.Name()) {
		return Pool{}, false, problem.New(problem.Invalid, "InvalidAgentPoolName", "The agent pool name '%s' is not valid: it has 3 to 20 letters, digits and '-'.", put.ID.Name()).On("name")
	}
	if err := put.Properties.normalise(); err != nil {
		return Pool{}, false, err
	}
	var res Pool
	created := false
	err := s.Store.InTx(ctx, func(ctx context.Context) error {
		if err := s.makeWay(ctx, put.ID, put.Now); err != nil {
			return err
		}
		var err error
		res, created, err = s.PutResource(ctx, put, nil)
		return err
	})
	return res, created, err
}

// makeWay removes what is left of a deleted pool.
func (s *Service) makeWay(ctx context.Context, id arm.ID, now time.Time) error {
	old, err := s.Collection.Get(ctx, id)
	switch {
	case problem.Is(err, problem.NotFound):
		return nil
	case err != nil || old.Properties.ProvisioningState != deleting:
		return err
	case !gone(old, now):
		return problem.New(problem.Conflict, "AgentPoolDeleting", "The agent pool '%s' is being deleted; try again in a few seconds.", id.Name())
	}
	_, err = s.Collection.Delete(ctx, id)
	return err
}

func (p *Properties) normalise() error {
	p.ProvisioningState = succeeded
	if p.OS == "" {
		p.OS = "Linux"
	}
	if p.Tier == "" {
		p.Tier = "S1"
	}
	tier, known := tiers[strings.ToLower(p.Tier)]
	switch {
	case !strings.EqualFold(p.OS, "Linux"):
		return problem.New(problem.Unsupported, "NotImplemented", "Agent pools of the system '%s' are not available in this version of Acrux.", p.OS).On("properties.os")
	case p.Subnet != "":
		return problem.New(problem.Unsupported, "NotImplemented", "Agent pools in a virtual network are not available in this version of Acrux.").On("properties.virtualNetworkSubnetResourceId")
	case !known:
		return problem.New(problem.Invalid, "InvalidParameterValue", "The tier '%s' is not one of S1, S2, S3, I6.", p.Tier).On("properties.tier")
	case p.Count < 0 || p.Count > maxCount:
		return problem.New(problem.Invalid, "InvalidParameterValue", "The count %d is not between 0 and %d.", p.Count, maxCount).On("properties.count")
	}
	p.OS, p.Tier = "Linux", tier
	return nil
}

// Delete marks a pool as being deleted and cancels the runs that wait for it: nobody
// would ever take them.
func (s *Service) Delete(ctx context.Context, id arm.ID) (bool, error) {
	now, existed := time.Now(), false
	err := s.Store.InTx(ctx, func(ctx context.Context) error {
		res, err := s.Collection.Get(ctx, id)
		if problem.Is(err, problem.NotFound) || err == nil && res.Properties.ProvisioningState == deleting {
			return resource.CheckParents(ctx, s.Store, id)
		}
		if err != nil {
			return err
		}
		existed = true
		res.Properties.ProvisioningState = deleting
		put := resource.Put[Properties]{ID: id, Location: res.Location, Tags: res.Tags, SKU: res.SKU, Properties: res.Properties, Caller: res.UpdatedBy, Now: now}
		if _, _, err := s.PutResource(ctx, put, nil); err != nil {
			return err
		}
		return s.Queue.CancelPool(ctx, id.Parent(), id.Name(), now)
	})
	return existed, err
}

// Leaving reports whether the pool was deleted and is still seen: no other can have its
// name yet.
func (s *Service) Leaving(ctx context.Context, id arm.ID) (bool, error) {
	res, err := s.Get(ctx, id)
	if problem.Is(err, problem.NotFound) {
		return false, nil
	}
	return err == nil && res.Properties.ProvisioningState == deleting, err
}

// Check returns a problem unless runs of the registry may be queued for the pool.
func (s *Service) Check(ctx context.Context, registry arm.ID, name string) error {
	id := registry.Child("agentPools", name)
	res, err := s.Get(ctx, id)
	if problem.Is(err, problem.NotFound) {
		return problem.New(problem.NotFound, "AgentPoolNotFound", "The agent pool '%s' was not found in registry '%s'.", name, registry.Name()).On("agentPoolName").
			Hint("az acr agentpool create --registry %s --name %s --tier S1", registry.Name(), name)
	}
	if err == nil && res.Properties.ProvisioningState == deleting {
		return problem.New(problem.Conflict, "AgentPoolDeleting", "The agent pool '%s' is being deleted.", name).On("agentPoolName")
	}
	return err
}

// QueueStatus is how much work waits for a pool.
type QueueStatus struct {
	Count int `json:"count"`
}

// QueueStatus counts the runs that wait for the pool.
func (s *Service) QueueStatus(ctx context.Context, id arm.ID) (QueueStatus, error) {
	if _, err := s.Get(ctx, id); err != nil {
		return QueueStatus{}, err
	}
	n, err := s.Queue.CountQueued(ctx, id.Parent(), id.Name())
	return QueueStatus{Count: n}, err
}
