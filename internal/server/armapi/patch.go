package armapi

import (
	"context"
	"encoding/json"
	"net/http"
	"sort"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
)

// change is the body of a PATCH.
type change struct {
	Tags       *map[string]string  `json:"tags"`
	SKU        *arm.SKU            `json:"sku"`
	Identity   *arm.IdentityChange `json:"identity"`
	Properties map[string]any      `json:"properties"`
}

// patchTries is how often a PATCH without a condition of its own is tried anew when
// someone else wrote between its GET and its PUT.
const patchTries = 5

// patch is GET, merge, PUT under the read ETag: there is one way to write.
func (m mounted[P]) patch(ctx context.Context, c *Call) (answer, error) {
	var req change
	if err := c.parse(&req); err != nil {
		return answer{}, err
	}
	want := c.Request.Header.Get("If-Match")
	for try := 1; ; try++ {
		ans, err := m.patchOnce(ctx, c, req, want)
		if want != "" || try == patchTries || !problem.Is(err, problem.Precondition) {
			return ans, err
		}
	}
}

func (m mounted[P]) patchOnce(ctx context.Context, c *Call, change change, want string) (answer, error) {
	old, err := m.provider.Get(ctx, c.ID)
	if err != nil {
		return answer{}, err
	}
	if want != "" && want != "*" && want != old.ETag {
		return answer{}, resource.ErrPrecondition()
	}
	if err := unheeded(c.body, old, envelope...); err != nil {
		return answer{}, err
	}
	if err := checkMembers(c.body, request[P]{}); err != nil {
		return answer{}, err
	}
	req := request[P]{Location: old.Location, Tags: old.Tags, SKU: old.SKU, Identity: mergeIdentity(old.Identity, change.Identity)}
	if change.Tags != nil {
		req.Tags = *change.Tags
	}
	if change.SKU != nil && change.SKU.Name != "" {
		req.SKU = change.SKU
	}
	if req.Properties, err = mergeProperties(old.Properties, change.Properties, m.opts.KeepNulls); err != nil {
		return answer{}, err
	}
	var ans answer
	err = m.server.Documents.InTx(ctx, func(ctx context.Context) error {
		var err error
		if ans, err = m.write(ctx, c, req, condition{etag: old.ETag}, http.StatusOK); err != nil {
			return err
		}
		return undone(change.Properties, old.Properties, ans.body.(arm.Resource[P]).Properties)
	})
	return ans, err
}

// mergeIdentity applies a change to the block as it is: the map of user-assigned
// identities is merged, the type replaces.
func mergeIdentity(old *arm.Identity, change *arm.IdentityChange) *arm.IdentityChange {
	if change.Silent() {
		return nil
	}
	merged := &arm.IdentityChange{None: change.None, System: change.System, Users: change.Users}
	if !change.Users {
		return merged
	}
	ids := map[string]bool{}
	for _, id := range old.UserIDs() {
		ids[id] = true
	}
	for _, id := range change.Assign {
		deleteFold(ids, id) // the new spelling replaces the old one
		ids[id] = true
	}
	for _, id := range change.Remove {
		deleteFold(ids, id)
	}
	for id := range ids {
		merged.Assign = append(merged.Assign, id)
	}
	sort.Strings(merged.Assign)
	return merged
}

// mergeProperties merges a JSON object into properties as RFC 7386 does, with the
// exceptions Azure makes: an entry of customRegistries replaces the old one whole,
// triggers in lists are merged by name, and where keepNulls is set, null changes
// nothing.
func mergeProperties[P any](old P, change map[string]any, keepNulls bool) (merged P, err error) {
	text, err := json.Marshal(old)
	if err != nil {
		return merged, err
	}
	var base map[string]any
	if err := json.Unmarshal(text, &base); err != nil {
		return merged, err
	}
	mergeObject(base, change, keepNulls)
	if text, err = json.Marshal(base); err != nil {
		return merged, err
	}
	if err := json.Unmarshal(text, &merged); err != nil {
		return merged, badContent(err)
	}
	return merged, nil
}

func mergeObject(base, change map[string]any, keepNulls bool) {
	for name, value := range change {
		object, isObject := value.(map[string]any)
		below, hasObject := base[name].(map[string]any)
		switch {
		case name == "timerTriggers" || name == "sourceTriggers":
			base[name] = mergeNamed(base[name], value, keepNulls)
		case value == nil && keepNulls:
		case value == nil:
			delete(base, name)
		case isObject && len(object) == 0 && (hasObject || base[name] == nil): // {} says nothing
		case isObject && name == "customRegistries":
			base[name] = replaceEntries(below, object)
		case isObject && hasObject && !sameKind(below, object):
			base[name] = object
		case isObject && hasObject:
			mergeObject(below, object, keepNulls)
		case isObject && base[name] == nil: // nulls remove nothing where nothing is
			below = map[string]any{}
			mergeObject(below, object, keepNulls)
			base[name] = below
		default:
			base[name] = value
		}
	}
}

// mergeNamed merges a list of objects into another by their names: those that are there
// are changed, others are added. Anything else replaces what was there.
func mergeNamed(old, change any, keepNulls bool) any {
	changes, ok := change.([]any)
	if !ok && change != nil {
		return change // the type of the member says what is wrong with it
	}
	merged, _ := old.([]any)
	for _, c := range changes {
		entry, ok := c.(map[string]any)
		if !ok {
			return change
		}
		if found := named(merged, entry["name"]); found != nil {
			mergeObject(found, entry, keepNulls)
		} else {
			merged = append(merged, entry)
		}
	}
	return merged
}

func named(list []any, name any) map[string]any {
	want, _ := name.(string)
	for _, e := range list {
		entry, _ := e.(map[string]any)
		if have, _ := entry["name"].(string); strings.EqualFold(have, want) {
			return entry
		}
	}
	return nil
}

// sameKind is false for a step that changes its type: nothing of the old one stays.
func sameKind(old, change map[string]any) bool {
	typ, given := change["type"]
	return !given || old["type"] == nil || typ == old["type"]
}

func replaceEntries(old, change map[string]any) map[string]any {
	merged := map[string]any{}
	for name, value := range old {
		merged[name] = value
	}
	for name, value := range change {
		deleteFold(merged, name)
		if value != nil {
			merged[name] = value
		}
	}
	return merged
}
