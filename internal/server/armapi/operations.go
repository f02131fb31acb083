package armapi

import (
	"maps"
	"net/http"
	"slices"

	"github.com/acrux/acrux/internal/arm"
)

// Operation is something that can be asked of a mounted type, and the rbac action
// that it takes.
type Operation struct {
	Kind   arm.Kind
	Method string
	List   bool   // of all resources below a scope
	Name   string // of an action below a resource; empty for the resource itself
	Action string
}

// Operations lists what is mounted, in the order of mounting.
func (s *Server) Operations() []Operation {
	var all []Operation
	for _, k := range s.ordered {
		all = append(all, k.operations()...)
	}
	return all
}

func (k *kind) operations() []Operation {
	var all []Operation
	add := func(there bool, method string, list bool) {
		if there {
			all = append(all, Operation{Kind: k.Kind, Method: method, List: list, Action: k.prefix + "/" + verbs[method]})
		}
	}
	add(k.list != nil, http.MethodGet, true)
	add(k.get != nil, http.MethodGet, false)
	add(k.put != nil, http.MethodPut, false)
	add(k.patch != nil, http.MethodPatch, false)
	add(k.delete != nil, http.MethodDelete, false)
	for _, name := range slices.Sorted(maps.Keys(k.actions)) {
		a := k.actions[name]
		all = append(all, Operation{Kind: k.Kind, Method: a.method, Name: a.name, Action: a.permission(k)})
	}
	return all
}
