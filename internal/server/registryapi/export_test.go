package registryapi

import (
	"fmt"
	"strings"
)

// Untried lists the routes that none of the requests, "METHOD PATH", takes.
func Untried(requests []string) (missing []string) {
	tried := map[route]bool{}
	for _, request := range requests {
		method, path, _ := strings.Cut(request, " ")
		tried[route{parse(path).Kind, method}] = true
	}
	for r := range handlers {
		if !tried[r] {
			missing = append(missing, fmt.Sprintf("%s of kind %d", r.method, r.kind))
		}
	}
	return missing
}
