package armapi

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
)

// tagsType is the type of the one resource at each scope that is its tags.
const tagsType = "Microsoft.Resources/tags"

// tagsPath splits SCOPE/providers/Microsoft.Resources/tags/default.
func tagsPath(segments []string) (scope arm.ID, ok bool) {
	n := len(segments) - 4
	if n < 0 || !strings.EqualFold(strings.Join(segments[n:], "/"), "providers/"+tagsType+"/default") {
		return arm.ID{}, false
	}
	scope, err := arm.ParseID(strings.Join(segments[:n], "/"))
	return scope, err == nil
}

// tagChange is the body of a PUT or PATCH of tags.
type tagChange struct {
	echo
	Operation  string `json:"operation"`
	Properties struct {
		Tags map[string]string `json:"tags"`
	} `json:"properties"`
}

// tags serves the tags of a resource or group apart from the rest of it. They take
// rights of their own: whoever may write tags need not be allowed to write resources.
func (s *Server) tags(ctx context.Context, c *Call, scope arm.ID) (answer, error) {
	if err := arm.CheckVersion(c.Query("api-version"), "2019-10-01"); err != nil {
		return answer{}, err
	}
	if !strings.EqualFold(scope.Subscription, s.Subscription) {
		return answer{}, noSubscription(scope.Subscription)
	}
	method := c.Request.Method
	verb, ok := verbs[method]
	if !ok {
		return answer{}, notAllowed(method, arm.NewKind(tagsType))
	}
	if err := s.allow(ctx, c, tagsType+"/"+verb, scope); err != nil {
		return answer{}, err
	}
	k, err := s.taggable(scope)
	if err != nil {
		return answer{}, err
	}
	c.ID = scope
	if method == http.MethodGet {
		return s.readTags(ctx, c, k)
	}
	return s.writeTags(ctx, c, k)
}

// taggable finds the type whose resources scope names one of.
func (s *Server) taggable(scope arm.ID) (*kind, error) {
	typ := scope.Kind()
	if scope.Namespace == "" {
		typ = groupKind
	}
	k, ok := s.kinds[typ.Key()]
	if scope.Group == "" || ok && !k.tagged {
		return nil, problem.New(problem.Unsupported, "NotImplemented", "Tags of '%s' are not available in this version of Acrux.", scope)
	}
	if !ok {
		return nil, unknownType(typ)
	}
	return k, nil
}

func (s *Server) readTags(ctx context.Context, c *Call, k *kind) (answer, error) {
	doc, err := s.Documents.Get(ctx, c.ID)
	if errors.Is(err, resource.ErrNotFound) {
		_, err = k.get(ctx, c) // says what is missing
	}
	if err != nil {
		return answer{}, err
	}
	if doc.Tags == nil {
		doc.Tags = map[string]string{}
	}
	return answer{status: http.StatusOK, body: map[string]any{"id": doc.ID.String() + "/providers/" + tagsType + "/default", "name": "default",
		"type": tagsType, "properties": map[string]any{"tags": doc.Tags}}}, nil
}

// writeTags changes the tags by a PATCH of the resource: there is one way to write.
func (s *Server) writeTags(ctx context.Context, c *Call, k *kind) (ans answer, err error) {
	change := tagChange{Operation: "Replace"}
	if c.Request.Method != http.MethodDelete {
		if err := c.Decode(&change); err != nil {
			return answer{}, err
		}
	}
	if c.Request.Method == http.MethodPut {
		change.Operation = "Replace"
	}
	err = s.Documents.InTx(ctx, func(ctx context.Context) error {
		before, err := s.Documents.Get(ctx, c.ID)
		if err != nil && !errors.Is(err, resource.ErrNotFound) {
			return err // what is not there is the PATCH's to say
		}
		tags, err := change.apply(before.Tags)
		if err != nil {
			return err
		}
		inner := *c
		if inner.body, err = json.Marshal(map[string]any{"tags": tags}); err != nil {
			return err
		}
		if _, err := k.patch(ctx, &inner); err != nil {
			return err
		}
		ans, err = s.readTags(ctx, c, k)
		return err
	})
	return ans, err
}

// apply returns what the change makes of tags. Their names are compared without case.
func (t tagChange) apply(tags map[string]string) (map[string]string, error) {
	next := maps.Clone(tags)
	if next == nil || strings.EqualFold(t.Operation, "Replace") {
		next = map[string]string{}
	}
	for name, value := range t.Properties.Tags {
		switch strings.ToLower(t.Operation) {
		case "replace", "merge":
			deleteFold(next, name)
			next[name] = value
		case "delete": // with a value, only if it is that one
			maps.DeleteFunc(next, func(have, its string) bool { return strings.EqualFold(have, name) && (value == "" || value == its) })
		default:
			return nil, problem.New(problem.Invalid, "InvalidRequestContent", "The operation '%s' on tags is none of Replace, Merge and Delete.", t.Operation).On("operation")
		}
	}
	return next, nil
}

// checkTags holds tags to Azure's limits.
func checkTags(tags map[string]string) error {
	if len(tags) > 50 {
		return problem.New(problem.Invalid, "TooManyTags", "There are %d tags; a resource has at most 50.", len(tags)).On("tags")
	}
	for name, value := range tags {
		switch {
		case name == "" || len(name) > 512 || strings.ContainsAny(name, `<>%&\?/`):
			return problem.New(problem.Invalid, "InvalidTagNameCharacters", "The tag name '%.80s' is not valid: it has 1 to 512 characters, none of <>%%&\\?/.", name).On("tags")
		case len(value) > 256:
			return problem.New(problem.Invalid, "TagValueTooLong", "The value of the tag '%.80s' has %d bytes; it may have 256.", name, len(value)).On("tags")
		}
	}
	return nil
}

// tagNames tells which tags there are in the subscription, and how often.
func (s *Server) tagNames(ctx context.Context, c *Call) (answer, error) {
	scope := arm.SubscriptionID(s.Subscription)
	if err := s.allow(ctx, c, "Microsoft.Resources/subscriptions/tagNames/read", scope); err != nil {
		return answer{}, err
	}
	p, err := c.paging()
	if err != nil {
		return answer{}, err
	}
	all, err := s.Documents.Tags(ctx, p.after, p.length+1)
	if err != nil {
		return answer{}, err
	}
	found := cut(byName(all), p.length, func(tags []resource.TagCount) string { return strings.ToLower(tags[0].Name) })
	for i, tags := range found.values {
		tags := tags.([]resource.TagCount)
		found.values[i] = tagName(scope.String()+"/tagNames/"+tags[0].Name, tags)
	}
	return c.page(p, found), nil
}

// byName gathers what has one name, of tags in the order of their names.
func byName(all []resource.TagCount) (gathered [][]resource.TagCount) {
	for i, tag := range all {
		if i == 0 || !strings.EqualFold(tag.Name, all[i-1].Name) {
			gathered = append(gathered, nil)
		}
		last := len(gathered) - 1
		gathered[last] = append(gathered[last], tag)
	}
	return gathered
}

func tagName(id string, tags []resource.TagCount) map[string]any {
	count := func(n int64) map[string]any { return map[string]any{"type": "Total", "value": n} }
	values, total := []any{}, int64(0)
	for _, tag := range tags {
		values = append(values, map[string]any{"id": id + "/tagValues/" + tag.Value, "tagValue": tag.Value, "count": count(tag.N)})
		total += tag.N
	}
	return map[string]any{"id": id, "tagName": tags[0].Name, "count": count(total), "values": values}
}

// predefineTags refuses by name what would make a tag before anything has it.
func (s *Server) predefineTags(context.Context, *Call) (answer, error) {
	return answer{}, problem.New(problem.Unsupported, "NotImplemented", "Defining tags before they are used (tagNames) is not available in this version of Acrux.").
		Hint("az tag create --resource-id ID --tags NAME=VALUE")
}
