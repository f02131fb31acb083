package collect

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
)

// Graph is what a repository holds: manifests, tags, and which index contains what.
type Graph struct {
	Nodes []Node
	Edges []Edge
	Tags  []registry.Tag
}

// Node is a manifest.
type Node struct {
	Digest     digest.Digest
	Subject    digest.Digest
	Updated    time.Time // of the last push
	Attributes registry.Attributes
}

// Edge says that an index contains a manifest.
type Edge struct{ Parent, Child digest.Digest }

// Rules say what to purge from a repository.
type Rules struct {
	Match    func(tag string) (bool, error) // which tags; nil is none
	Before   time.Time                      // only what was pushed before
	Keep     int                            // of what would go, so many of the newest stay: tags, or manifests without Match
	Untagged bool                           // also manifests without a tag
	Locked   bool                           // also what is locked
}

// Plan is what a purge removes, or removed.
type Plan struct {
	Tags      []registry.Tag
	Manifests []digest.Digest // those that contain others first
	// Skipped are tags and manifests that stay, although the rules mean them, because
	// they are locked or were changed meanwhile.
	Skipped []string
	// More says that a purge has stopped before its end.
	More bool
}

const mayDelete = registry.DeleteEnabled | registry.WriteEnabled

// plan is what the rules mean for the graph.
func plan(g Graph, rules Rules) (p Plan, err error) {
	if rules.Match != nil {
		if p.Tags, p.Skipped, err = oldTags(g.Tags, rules); err != nil {
			return p, err
		}
	}
	if rules.Untagged {
		p.Manifests = unreached(g, p.Tags, rules, nil)
		if rules.Match == nil && rules.Keep > 0 {
			p.Manifests = unreached(g, p.Tags, rules, newest(g, p.Manifests, rules.Keep))
		}
	}
	return p, nil
}

// newest are the n manifests that were pushed last.
func newest(g Graph, among []digest.Digest, n int) []digest.Digest {
	updated := map[digest.Digest]time.Time{}
	for _, node := range g.Nodes {
		updated[node.Digest] = node.Updated
	}
	sorted := slices.SortedStableFunc(slices.Values(among), func(a, b digest.Digest) int { return updated[b].Compare(updated[a]) })
	return sorted[:min(n, len(sorted))]
}

// oldTags are the tags that match and are old, without the newest of them: what stays is counted
// among those that would go, as the published tool does it.
func oldTags(all []registry.Tag, rules Rules) (old []registry.Tag, locked []string, err error) {
	var match []registry.Tag
	for _, t := range all {
		matches, err := rules.Match(t.Name)
		if err != nil {
			return nil, nil, err
		}
		if matches {
			match = append(match, t)
		}
	}
	for _, t := range match {
		switch {
		case !t.Updated.Before(rules.Before):
		case !rules.Locked && t.Attributes&mayDelete != mayDelete:
			locked = append(locked, t.Name)
		default:
			old = append(old, t)
		}
	}
	slices.SortStableFunc(old, func(a, b registry.Tag) int { return b.Updated.Compare(a.Updated) })
	old = old[min(max(0, rules.Keep), len(old)):]
	slices.SortFunc(old, func(a, b registry.Tag) int { return cmp.Compare(a.Name, b.Name) })
	return old, locked, nil
}

// unreached are the manifests that nothing that stays needs: neither a tag that is not
// in gone, nor a manifest that is young, locked or kept.
func unreached(g Graph, gone []registry.Tag, rules Rules, kept []digest.Digest) []digest.Digest {
	below, reached := neighbours(g), map[digest.Digest]bool{}
	var queue []digest.Digest
	reach := func(d digest.Digest) {
		if !reached[d] {
			reached[d] = true
			queue = append(queue, d)
		}
	}
	leaving := map[string]bool{}
	for _, t := range gone {
		leaving[t.Name] = true
	}
	for _, t := range g.Tags {
		if !leaving[t.Name] {
			reach(t.Digest)
		}
	}
	for _, n := range g.Nodes {
		if !n.Updated.Before(rules.Before) || !rules.Locked && n.Attributes&mayDelete != mayDelete {
			reach(n.Digest)
		}
	}
	for _, d := range kept {
		reach(d)
	}
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		for _, d := range below[next] {
			reach(d)
		}
	}
	return topDown(g, reached)
}

// neighbours are what stays with a manifest: what an index contains, and what refers to it.
func neighbours(g Graph) map[digest.Digest][]digest.Digest {
	below := map[digest.Digest][]digest.Digest{}
	for _, e := range g.Edges {
		below[e.Parent] = append(below[e.Parent], e.Child)
	}
	for _, n := range g.Nodes {
		if n.Subject != "" {
			below[n.Subject] = append(below[n.Subject], n.Digest)
		}
	}
	return below
}

// topDown lists the manifests that are not in stay, each before its neighbours, so that
// none is held by another that goes as well.
func topDown(g Graph, stay map[digest.Digest]bool) []digest.Digest {
	below, seen := neighbours(g), map[digest.Digest]bool{}
	var order []digest.Digest
	var visit func(d digest.Digest)
	visit = func(d digest.Digest) {
		if seen[d] || stay[d] {
			return
		}
		seen[d] = true
		for _, next := range below[d] {
			visit(next)
		}
		order = append(order, d)
	}
	there := map[digest.Digest]bool{}
	for _, n := range g.Nodes {
		there[n.Digest] = true
		visit(n.Digest)
	}
	slices.Reverse(order)
	return slices.DeleteFunc(order, func(d digest.Digest) bool { return !there[d] })
}

// Purger purges repositories.
type Purger struct {
	Store   Store
	Content *registry.Content
	// Patience is after how long a purge that has removed something leaves the rest to
	// another one; 0 is two seconds.
	Patience time.Duration
}

// Plan says what a purge would remove.
func (p *Purger) Plan(ctx context.Context, name registry.Name, rules Rules) (Plan, error) {
	g, err := p.Store.Graph(ctx, name)
	if err != nil {
		return Plan{}, registry.Problem(err, name)
	}
	return plan(g, rules)
}

// purgedTogether is how many tags or manifests go in one transaction.
const purgedTogether = 500

// Purge removes what the rules mean. What was pushed, tagged or locked since the plan was
// made stays. After a while it stops, and Plan.More says that the same purge goes on with
// the rest.
func (p *Purger) Purge(ctx context.Context, name registry.Name, rules Rules, actor string, now time.Time) (Plan, error) {
	wanted, err := p.Plan(ctx, name, rules)
	if err != nil {
		return Plan{}, err
	}
	done, began := Plan{Skipped: wanted.Skipped}, time.Now()
	enough := func() bool {
		done.More = len(done.Tags)+len(done.Manifests) > 0 && time.Since(began) > cmp.Or(p.Patience, 2*time.Second)
		return done.More
	}
	for some := range slices.Chunk(wanted.Tags, purgedTogether) {
		if enough() {
			return done, nil
		}
		if err := p.untag(ctx, name, some, rules, actor, now, &done); err != nil {
			return done, err
		}
	}
	guard := Guard{Before: rules.Before, ByPush: true, Locked: rules.Locked}
	for some := range slices.Chunk(wanted.Manifests, purgedTogether) {
		if enough() {
			return done, nil
		}
		if err := p.removeAll(ctx, name, some, guard, actor, now, &done); err != nil {
			return done, err
		}
	}
	return done, nil
}

// untag deletes those of the tags that are still what was seen.
func (p *Purger) untag(ctx context.Context, name registry.Name, seen []registry.Tag, rules Rules, actor string, now time.Time, done *Plan) error {
	gone, err := p.Content.DeleteTags(ctx, name, seen, rules.Locked, actor, now)
	if err := ignore(ignore(err, problem.NotAllowed), problem.NotFound); err != nil {
		return err
	}
	done.Tags = append(done.Tags, gone...)
	left := gone
	for _, t := range seen { // gone has those that went in the same order
		if len(left) > 0 && left[0].Name == t.Name {
			left = left[1:]
			continue
		}
		done.Skipped = append(done.Skipped, t.Name)
	}
	return nil
}

// removeAll deletes manifests in one transaction, or each in its own if one of them is
// refused, which has changed something by then.
func (p *Purger) removeAll(ctx context.Context, name registry.Name, all []digest.Digest, g Guard, actor string, now time.Time, done *Plan) error {
	var gone, kept []digest.Digest
	each := func(ctx context.Context, remove func(ctx context.Context, d digest.Digest) (bool, error)) error {
		gone, kept = nil, nil
		for _, d := range all {
			went, err := remove(ctx, d)
			if err != nil {
				return err
			}
			if went {
				gone = append(gone, d)
			} else {
				kept = append(kept, d)
			}
		}
		return nil
	}
	err := p.Store.InTx(ctx, func(ctx context.Context) error {
		return each(ctx, func(ctx context.Context, d digest.Digest) (bool, error) {
			return p.removeOne(ctx, name, d, g, actor, now)
		})
	})
	if problem.Is(err, problem.NotAllowed) {
		err = each(ctx, func(ctx context.Context, d digest.Digest) (bool, error) { return p.remove(ctx, name, d, g, actor, now) })
	}
	if err != nil {
		return err
	}
	done.Manifests = append(done.Manifests, gone...)
	for _, d := range kept {
		done.Skipped = append(done.Skipped, d.String())
	}
	return nil
}

// remove deletes a manifest if nothing needs it and the guard lets it go, which a lock may
// still refuse.
func (p *Purger) remove(ctx context.Context, name registry.Name, d digest.Digest, g Guard, actor string, now time.Time) (gone bool, err error) {
	err = p.Store.InTx(ctx, func(ctx context.Context) (err error) {
		gone, err = p.removeOne(ctx, name, d, g, actor, now)
		return err
	})
	return gone && err == nil, ignore(err, problem.NotAllowed)
}

// removeOne is remove in a transaction, which is to be given up if there is an error.
func (p *Purger) removeOne(ctx context.Context, name registry.Name, d digest.Digest, g Guard, actor string, now time.Time) (gone bool, err error) {
	expendable, err := p.Store.Expendable(ctx, name, d, g)
	if err != nil || !expendable {
		return false, err
	}
	if err := p.unlock(ctx, name, d.String(), g.Locked); err != nil {
		return false, err
	}
	return true, p.Content.DeleteManifest(ctx, name, d, actor, now)
}

// unlock takes the locks off what is to be deleted, if that is wanted. When the deletion is
// refused all the same, the transaction puts them back.
func (p *Purger) unlock(ctx context.Context, name registry.Name, reference string, wanted bool) error {
	if !wanted {
		return nil
	}
	return p.Content.SetAttributes(ctx, name, reference, mayDelete, 0)
}

// ignore turns a kind of problem into none.
func ignore(err error, kind problem.Kind) error {
	if problem.Is(err, kind) {
		return nil
	}
	return err
}
