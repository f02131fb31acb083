package taskfile

import (
	"fmt"
	"strings"
)

// mergeEnv returns own entries followed by the inherited ones that they do not
// hide. Inherited entries are split at commas first; own ones are not. An own
// entry without "=" is an error only if there is something to inherit.
func mergeEnv(own, inherited []string) ([]string, error) {
	if len(inherited) == 0 {
		return own, nil
	}
	hidden := map[string]bool{}
	for _, entry := range own {
		name, _, found := strings.Cut(entry, "=")
		if !found {
			return nil, fmt.Errorf("cannot parse step environment variable %s correctly", entry)
		}
		hidden[name] = true
	}
	merged := append([]string(nil), own...)
	for _, entry := range splitCommas(inherited) {
		name, _, found := strings.Cut(entry, "=")
		if !found {
			return nil, fmt.Errorf("cannot parse task environment variable %s correctly", entry)
		}
		if !hidden[name] {
			merged = append(merged, entry)
		}
	}
	return merged, nil
}

func splitCommas(entries []string) []string {
	var split []string
	for _, entry := range entries {
		split = append(split, strings.Split(entry, ",")...)
	}
	return split
}

// taskEnv merges the service's variables under the task's. The task's entries are
// split first, so that a name behind a comma hides the service's variable too.
func taskEnv(task, service []string) ([]string, error) {
	if len(service) == 0 {
		return task, nil
	}
	own := splitCommas(task)
	for _, entry := range own {
		if !strings.Contains(entry, "=") {
			return nil, fmt.Errorf("cannot parse task environment variable %s correctly", entry)
		}
	}
	return mergeEnv(own, service)
}
