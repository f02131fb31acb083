//go:build linux

package userns

import (
	"errors"
	"os"
	"sync"
)

// Lease is a range for as long as somebody has it.
type Lease struct {
	IDs IDs
	// Namespace is a user namespace with these IDs, for views: nobody is in it. The pool
	// closes it.
	Namespace *os.File
}

// Pool gives out ranges. The zero value is ready; the owner closes it. It is safe for
// concurrent use.
type Pool struct {
	mu   sync.Mutex
	free []Lease
	made int
}

// Take gives a range that nobody has. One that came back is given first: its namespace is
// there already, and what a run leaves does not belong to its IDs.
func (p *Pool) Take() (Lease, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.free) - 1; last >= 0 {
		lease := p.free[last]
		p.free = p.free[:last]
		return lease, nil
	}
	if first+(p.made+1)*Size > end {
		return Lease{}, errors.New("no user IDs are left for another run")
	}
	lease := Lease{IDs: IDs{First: first + p.made*Size}}
	namespace, err := Open(lease.IDs)
	if err != nil {
		return Lease{}, err
	}
	lease.Namespace = namespace
	p.made++
	return lease, nil
}

// Give takes a range back.
func (p *Pool) Give(lease Lease) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, lease)
}

// Close closes the pool. All leases must have come back.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, lease := range p.free {
		errs = append(errs, lease.Namespace.Close())
	}
	p.free = nil
	return errors.Join(errs...)
}
