//go:build linux && cgo

package embedded

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/acrux/acrux/internal/sandbox/buildkit"
	"github.com/acrux/acrux/internal/sandbox/container"
	"github.com/acrux/acrux/internal/sandbox/runnet"
	"github.com/acrux/acrux/internal/sandbox/userns"
)

// buildPlaces are where RUN instructions of builds under way have their network and their user
// IDs: one place for each scope of the cache, and thus for each task.
//
// It is not the run's own. Equal instructions of two runs of a task are one to BuildKit,
// and must outlive the run that came first; and what a step finds at fixed addresses, the
// identity of its task above all, is not for RUN.
type buildPlaces struct {
	executor *Executor

	mu     sync.Mutex
	scopes map[string]*buildPlace
}

// buildPlace is made with its first RUN, and goes with the last build of its scope.
type buildPlace struct {
	scope   string
	holders int // builds and instructions; under the lock of buildPlaces

	mu      sync.Mutex
	written map[string]int // layers that instructions write to, and how many do
	lodging lodging
	group   *container.Group
	router  *router // nil before the first RUN
	network *runnet.Network
}

// hold keeps the place of a scope until release is called.
func (b *buildPlaces) hold(scope string) (p *buildPlace, release func() error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p = b.scopes[scope]
	if p == nil {
		p = &buildPlace{scope: scope}
		if b.scopes == nil {
			b.scopes = map[string]*buildPlace{}
		}
		b.scopes[scope] = p
	}
	p.holders++
	return p, sync.OnceValue(func() error { return b.release(p) })
}

func (b *buildPlaces) release(p *buildPlace) error {
	b.mu.Lock()
	p.holders--
	last := p.holders == 0
	if last {
		delete(b.scopes, p.scope)
	}
	b.mu.Unlock()
	if !last {
		return nil
	}
	return p.close(b.executor)
}

// connect gives a RUN instruction its place: see buildkit.Network.
func (b *buildPlaces) connect(scope, id string, connected bool) (_ buildkit.Sandbox, err error) {
	p, release := b.hold(scope)
	defer func() {
		if err != nil {
			err = errors.Join(err, release())
		}
	}()
	if err := p.open(b.executor); err != nil {
		return buildkit.Sandbox{}, err
	}
	join := p.network.Connect
	if !connected {
		join = p.router.Detached
	}
	endpoint, err := join(runnet.Container{ID: id})
	if err != nil {
		return buildkit.Sandbox{}, err
	}
	return buildkit.Sandbox{
		View:   p.lodging.root(),
		Cgroup: p.group.CgroupPath(id),
		Writes: p.writes,
		Attach: func(pid int) error { return endpoint.Attach(fmt.Sprintf("/proc/%d/ns", pid)) },
		Close:  func() error { return errors.Join(endpoint.Close(), release()) },
	}, nil
}

// writes notes a layer that an instruction writes to, until done is called.
func (p *buildPlace) writes(layer string) (done func()) {
	count := func(n int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.written == nil {
			p.written = map[string]int{}
		}
		if p.written[layer] += n; p.written[layer] == 0 {
			delete(p.written, layer)
		}
	}
	count(1)
	return sync.OnceFunc(func() { count(-1) })
}

// layers are the directories that instructions of a scope write to at present.
func (b *buildPlaces) layers(scope string) []string {
	b.mu.Lock()
	p := b.scopes[scope]
	b.mu.Unlock()
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.written))
}

// open makes the network, once.
func (p *buildPlace) open(e *Executor) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.router != nil {
		return nil
	}
	id := fmt.Sprintf("build-%.16s-%d", p.scope, e.builtPlaces.Add(1))
	if p.lodging, err = e.lodge(id, e.root); err == nil {
		if p.group, err = e.openGroup(id); err == nil {
			err = p.connect(e, id)
		}
	}
	if err != nil {
		return errors.Join(err, e.leave(p.lodging), p.group.Close())
	}
	return nil
}

// connect opens the network. Nobody is ever in its router, which belongs to the machine.
func (p *buildPlace) connect(e *Executor, id string) (err error) {
	router, err := e.openRouter(id, userns.IDs{})
	if err != nil {
		return err
	}
	if p.network, err = router.AddNetwork(runnet.Options{Isolated: true}); err != nil {
		return errors.Join(err, router.Close())
	}
	p.router = router
	return nil
}

func (p *buildPlace) close(e *Executor) error {
	if p.router == nil {
		return nil
	}
	return errors.Join(p.router.Close(), e.leave(p.lodging), p.group.Close())
}
