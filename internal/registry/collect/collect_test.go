package collect_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/registry/collect"
)

func digestOf(body string) digest.Digest { return digest.FromString(body) }

// simple pushes an image of one layer.
func (w *world) simple(t *testing.T, at registry.Name, tag, layer string) string {
	t.Helper()
	body := image("", layer)
	must(t, w.push(at, tag, body, config, layer))
	return body
}

// A plan says what a collection does then; what is shared stays.
func TestCollect(t *testing.T) {
	w := newWorld(t)
	ctx, at := t.Context(), name("hello")
	gone, kept := w.simple(t, at, "gone", "one"), w.simple(t, at, "kept", "two")
	w.simple(t, name("other"), "kept", "two")
	_, err := w.AddBlob(ctx, at, strings.NewReader("stray"), digestOf("stray"), w.now)
	must(t, err)
	must(t, w.DeleteManifest(ctx, at, digestOf(gone), "me", w.now))

	plan, err := w.collector.Plan(ctx, w.now, collect.Grace)
	must(t, err)
	same(t, plan, collect.Report{Manifests: collect.Amount{Count: 1, Bytes: int64(len(gone))}})
	w.now = w.now.Add(collect.Grace + time.Second)
	want := collect.Report{Links: 2, Blobs: collect.Amount{Count: 2, Bytes: int64(len("one") + len("stray"))}, Manifests: collect.Amount{Count: 1, Bytes: int64(len(gone))}}
	plan, err = w.collector.Plan(ctx, w.now, collect.Grace)
	must(t, err)
	same(t, plan, want)
	same(t, w.files(t), 4)
	done, err := w.collector.Collect(ctx, w.now, collect.Grace)
	must(t, err)
	want.Files = 2
	same(t, done, want)
	same(t, w.files(t), 2)
	must(t, w.whole(at, digestOf(kept)))
	done, err = w.collector.Collect(ctx, w.now, collect.Grace)
	must(t, err)
	same(t, done, collect.Report{})
	w.simple(t, at, "gone", "one")
	must(t, w.whole(at, digestOf(gone)))
}

// A builder's cache is an index of blobs: they live as long as it does, whatever is
// collected, purged or taken from the trash meanwhile.
func TestIndexOfBlobsKeepsThem(t *testing.T) {
	w := newWorld(t)
	ctx, at := t.Context(), name("cache")
	w.simple(t, at, "old", "inner")
	child := image("", "inner")
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","manifests":[%s,%s,%s]}`, indexType,
		descriptor("application/vnd.oci.image.layer.v1.tar+gzip", "layer"), descriptor(imageType, child),
		descriptor("application/vnd.buildkit.cacheconfig.v0", "settings"))
	must(t, w.push(at, "cache", body, "layer", "settings", "unused"))
	there := func(want bool) {
		t.Helper()
		for _, content := range []string{"layer", "settings", "inner"} {
			if _, err := w.Blob(ctx, at, digestOf(content)); (err == nil) != want {
				t.Errorf("%s: %v", content, err)
			}
		}
	}
	collectAll := func() {
		t.Helper()
		w.now = w.now.Add(100 * collect.Grace)
		_, err := w.collector.Collect(ctx, w.now, collect.Grace)
		must(t, err)
	}
	collectAll()
	there(true)
	if _, err := w.Blob(ctx, at, digestOf("unused")); err == nil {
		t.Error("what nothing names is still there")
	}
	must(t, w.put(at, "cache", body)) // again
	must(t, w.DeleteTag(ctx, at, "old", "me", w.now))
	_, err := w.purger.Purge(ctx, at, collect.Rules{Before: w.now, Untagged: true}, "me", w.now)
	must(t, err)
	collectAll()
	there(true)
	must(t, w.DeleteManifest(ctx, at, digestOf(body), "me", w.now))
	must(t, w.DeleteManifest(ctx, at, digestOf(child), "me", w.now))
	collectAll()
	there(false)
	same(t, w.files(t), 0)
}

// Who asks for an unused blob may go on to push a manifest that names it.
func TestAskedForBlobStays(t *testing.T) {
	w := newWorld(t)
	ctx, at := t.Context(), name("hello")
	_, err := w.AddBlob(ctx, at, strings.NewReader("layer"), digestOf("layer"), w.now)
	must(t, err)
	w.now = w.now.Add(collect.Grace - time.Minute)
	_, err = w.HeadBlob(ctx, at, digestOf("layer"), w.now)
	must(t, err)
	w.now = w.now.Add(collect.Grace - time.Minute)
	_, err = w.collector.Collect(ctx, w.now, collect.Grace)
	must(t, err)
	w.simple(t, at, "v1", "layer")
	w.now = w.now.Add(100 * collect.Grace)
	_, err = w.collector.Collect(ctx, w.now, collect.Grace)
	must(t, err)
	must(t, w.whole(at, digestOf(image("", "layer"))))
}

// A kill after the rows went and before the content did leaves work for the next
// collection; content without any row is an orphan, but not while it is young.
func TestCollectAfterKill(t *testing.T) {
	w := newWorld(t)
	ctx, at := t.Context(), name("hello")
	w.simple(t, at, "v1", "one")
	_, _, err := w.DeleteRepository(ctx, at, "me", w.now)
	must(t, err)
	dropped, more, err := w.store.DropBlobs(ctx, 100)
	must(t, err)
	same(t, []any{dropped.Count, more}, []any{int64(2), false})
	same(t, w.files(t), 2)
	done, err := w.collector.Collect(ctx, w.now, collect.Grace)
	must(t, err)
	same(t, done.Files, int64(2))
	same(t, w.files(t), 0)

	must(t, os.WriteFile(filepath.Join(w.dir, "blobs", "blobs", "ab", "ab000000000000000000000000000000"), []byte("x"), 0o600))
	_, err = w.StartUpload(ctx, at, w.now)
	must(t, err)
	for _, test := range []struct {
		age  time.Duration
		dry  bool
		want int64
		left int
	}{{time.Hour, false, 0, 2}, {0, true, 1, 2}, {0, false, 1, 1}, {0, false, 0, 1}} {
		n, err := w.collector.Orphans(ctx, time.Now(), test.age, test.dry)
		must(t, err)
		same(t, []any{n, w.files(t)}, []any{test.want, test.left})
	}
}

// Scrubbing finds what is missing, short or changed, and says which images need it.
func TestScrub(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	for _, layer := range []string{"missing", "short", "changed", "whole"} {
		w.simple(t, name(layer), "v1", layer)
	}
	for layer, spoil := range map[string]func(string) error{
		"missing": os.Remove,
		"short":   func(file string) error { return os.Truncate(file, 1) },
		"changed": func(file string) error { return os.WriteFile(file, []byte("CHANGED"), 0o600) },
	} {
		b, err := w.Blob(ctx, name(layer), digestOf(layer))
		must(t, err)
		file := filepath.Join(w.dir, "blobs", "blobs", string(b.Key[:2]), string(b.Key))
		must(t, os.Chmod(file, 0o600))
		must(t, spoil(file))
		if err := os.Chmod(file, 0o400); layer != "missing" {
			must(t, err)
		}
	}
	found := map[string]string{}
	sum, err := w.collector.Scrub(ctx, func(r collect.Rot) error {
		same(t, len(r.Images), 1)
		found[r.Images[0].Name.Repository] = r.What
		return nil
	})
	must(t, err)
	same(t, found, map[string]string{"missing": "there is no content", "short": "the content has 1 bytes of 5", "changed": "the content has the digest " + digestOf("CHANGED").String()})
	same(t, []int64{sum.Blobs.Count, sum.Manifests.Count}, []int64{5, 4})
}

func newest(string) (bool, error) { return true, nil }

// What a purge takes: old tags but for the newest, and manifests that nothing needs.
func TestPurge(t *testing.T) {
	w := newWorld(t)
	ctx, at := t.Context(), name("hello")
	a, b := w.simple(t, at, "", "one"), w.simple(t, at, "", "two")
	multi := index(a, b)
	must(t, w.put(at, "multi", multi))
	signature := image(multi, "three")
	must(t, w.push(at, "", signature, "three"))
	for _, tag := range []string{"old", "older", "locked"} {
		w.now = w.now.Add(time.Hour)
		w.simple(t, at, tag, "four")
	}
	must(t, w.SetAttributes(ctx, at, "locked", 0, registry.DeleteEnabled))
	w.now = w.now.Add(time.Hour)
	young := w.simple(t, at, "", "one two")

	rules := collect.Rules{Match: newest, Before: w.now, Keep: 1, Untagged: true}
	plan, err := w.purger.Plan(ctx, at, rules)
	must(t, err)
	done, err := w.purger.Purge(ctx, at, rules, "me", w.now)
	must(t, err)
	same(t, done, plan)
	var tags []string
	for _, tag := range done.Tags {
		tags = append(tags, tag.Name)
	}
	same(t, tags, []string{"multi", "old"}) // older is the newest of those that would go: locked would not
	same(t, slices.Sorted(slices.Values(done.Manifests)), slices.Sorted(slices.Values([]digest.Digest{digestOf(multi), digestOf(a), digestOf(b), digestOf(signature)})))
	must(t, w.whole(at, digestOf(young)))

	rules = collect.Rules{Match: newest, Before: w.now.Add(time.Hour)}
	done, err = w.purger.Purge(ctx, at, rules, "me", w.now)
	must(t, err)
	same(t, []int{len(done.Tags), len(done.Manifests)}, []int{1, 0})
	same(t, done.Skipped, []string{"locked"})
	rules.Locked, rules.Untagged = true, true
	done, err = w.purger.Purge(ctx, at, rules, "me", w.now)
	must(t, err)
	same(t, []int{len(done.Tags), len(done.Manifests), len(done.Skipped)}, []int{1, 2, 0})
	_, err = w.purger.Purge(ctx, name("nobody"), rules, "me", w.now)
	if !problem.Is(err, problem.NotFound) {
		t.Error(err)
	}
}

// What is kept of manifests without a tag are the newest, with what they contain.
func TestPurgeKeepsManifests(t *testing.T) {
	w := newWorld(t)
	at := name("hello")
	a, b := w.simple(t, at, "", "one"), w.simple(t, at, "", "two")
	w.now = w.now.Add(time.Hour)
	multi := index(a)
	must(t, w.put(at, "", multi))
	w.simple(t, at, "tagged", "three")
	w.now = w.now.Add(time.Hour)
	rules := collect.Rules{Before: w.now, Keep: 1, Untagged: true}
	done, err := w.purger.Purge(t.Context(), at, rules, "me", w.now)
	must(t, err)
	same(t, done.Manifests, []digest.Digest{digestOf(b)})
	must(t, w.whole(at, digestOf(multi)))
	rules.Keep = 0
	done, err = w.purger.Purge(t.Context(), at, rules, "me", w.now)
	must(t, err)
	same(t, done.Manifests, []digest.Digest{digestOf(multi), digestOf(a)})
}

// A purge that takes long stops, and goes on when it is asked again: nothing that the rules
// mean is left, and nothing else is gone.
func TestPurgeInParts(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		w := newWorld(t)
		w.keeps, w.purger.Patience = keeps, time.Nanosecond
		ctx, at := t.Context(), name("hello")
		bodies := []string{w.simple(t, at, "", "one"), w.simple(t, at, "", "two"), w.simple(t, at, "", "three")}
		for i := range 1203 {
			must(t, w.put(at, fmt.Sprintf("t%04d", i), bodies[i%2]))
		}
		must(t, w.SetAttributes(ctx, at, "t0700", 0, registry.WriteEnabled))
		w.now = w.now.Add(time.Hour)
		must(t, w.put(at, "young", bodies[2]))

		rules := collect.Rules{Match: newest, Before: w.now, Untagged: true}
		var tags, manifests, parts int
		for more := true; more; parts++ {
			done, err := w.purger.Purge(ctx, at, rules, "me", w.now)
			must(t, err)
			same(t, done.Skipped, []string{"t0700"})
			tags, manifests, more = tags+len(done.Tags), manifests+len(done.Manifests), done.More
		}
		same(t, []int{tags, manifests}, []int{1202, 1})
		if parts < 4 {
			t.Errorf("all is gone in %d parts", parts)
		}
		left, err := w.Tags(ctx, at, registry.TagQuery{})
		must(t, err)
		same(t, []string{left[0].Name, left[1].Name}, []string{"t0700", "young"})
		repository, err := w.Repository(ctx, at)
		must(t, err)
		same(t, []int{len(left), int(repository.Tags), int(repository.Manifests)}, []int{2, 2, 2})
	}
}

// A purge that is refused leaves the locks that it would have taken off.
func TestPurgeOfLockedRepository(t *testing.T) {
	w := newWorld(t)
	ctx, at := t.Context(), name("hello")
	body := w.simple(t, at, "v1", "one")
	untagged := w.simple(t, at, "", "two")
	must(t, w.SetAttributes(ctx, at, "v1", 0, registry.DeleteEnabled))
	must(t, w.SetAttributes(ctx, at, digestOf(untagged).String(), 0, registry.DeleteEnabled))
	must(t, w.SetAttributes(ctx, at, "", 0, registry.DeleteEnabled))
	done, err := w.purger.Purge(ctx, at, collect.Rules{Match: newest, Before: w.now.Add(time.Hour), Untagged: true, Locked: true}, "me", w.now)
	must(t, err)
	same(t, []int{len(done.Tags), len(done.Manifests), len(done.Skipped)}, []int{0, 0, 3})
	tag, err := w.Tag(ctx, at, "v1")
	must(t, err)
	m, err := w.Manifest(ctx, at, digestOf(untagged).String())
	must(t, err)
	same(t, []registry.Attributes{tag.Attributes & registry.DeleteEnabled, m.Attributes & registry.DeleteEnabled}, []registry.Attributes{0, 0})
	must(t, w.whole(at, digestOf(body)))
}

// What was pushed between plan and deletion stays.
func TestPurgeOfWhatChanged(t *testing.T) {
	w := newWorld(t)
	ctx, at := t.Context(), name("hello")
	body := w.simple(t, at, "v1", "one")
	before := w.now.Add(time.Minute)
	retag := func(tag string) (bool, error) {
		w.now = before.Add(time.Minute)
		return true, w.put(at, tag, body)
	}
	done, err := w.purger.Purge(ctx, at, collect.Rules{Match: retag, Before: before, Untagged: true}, "me", w.now)
	must(t, err)
	same(t, done, collect.Plan{Skipped: []string{"v1", digestOf(body).String()}})
	must(t, w.whole(at, digestOf(body)))
}

// What soft delete keeps can be put back, with its tag and what is below it, until its
// time is over.
func TestSoftDelete(t *testing.T) {
	w := newWorld(t)
	w.keeps = true
	ctx, at := t.Context(), name("hello")
	child := w.simple(t, at, "", "one")
	multi := index(child)
	must(t, w.put(at, "multi", multi))
	_, _, err := w.DeleteRepository(ctx, at, "me", w.now)
	must(t, err)
	_, err = w.Repository(ctx, at)
	if !problem.Is(err, problem.NotFound) {
		t.Fatal(err)
	}
	names, err := w.Repositories(ctx, "reg", registry.Page{})
	must(t, err)
	same(t, len(names), 0)
	names, err = w.store.DeletedRepositories(ctx, "reg", registry.Page{})
	must(t, err)
	same(t, names, []string{"hello"})
	manifests, err := w.store.DeletedManifests(ctx, at, registry.Page{})
	must(t, err)
	same(t, []any{len(manifests), manifests[0].Deleted}, []any{2, w.now})
	tags, err := w.store.DeletedTags(ctx, at, registry.Page{})
	must(t, err)
	same(t, tags, []registry.DeletedTag{{Name: "multi", Digest: digestOf(multi), Deleted: w.now}})

	w.now = w.now.Add(6 * 24 * time.Hour)
	_, err = w.collector.Collect(ctx, w.now, collect.Grace)
	must(t, err)
	_, err = w.Restore(ctx, w.store, registry.Restoring{Name: at, Digest: digestOf(multi), Tag: "multi", Actor: "me", Now: w.now})
	must(t, err)
	must(t, w.whole(at, digestOf(multi)))
	must(t, w.whole(at, digestOf(child)))
	repo, err := w.Repository(ctx, at)
	must(t, err)
	same(t, []int64{repo.Tags, repo.Manifests}, []int64{1, 2})

	must(t, w.DeleteTag(ctx, at, "multi", "me", w.now))
	other := w.simple(t, at, "multi", "two")
	back := registry.Restoring{Name: at, Digest: digestOf(multi), Tag: "multi", Actor: "me", Now: w.now}
	_, err = w.Restore(ctx, w.store, back)
	if !problem.Is(err, problem.Conflict) {
		t.Errorf("a tag was moved: %v", err)
	}
	back.Force = true
	_, err = w.Restore(ctx, w.store, back)
	must(t, err)
	moved, err := w.Tag(ctx, at, "multi")
	must(t, err)
	same(t, moved.Digest, digestOf(multi))

	must(t, w.DeleteManifest(ctx, at, digestOf(other), "me", w.now))
	_, err = w.store.Expire(ctx, "reg", w.now.Add(time.Second), w.now, 100)
	must(t, err)
	_, err = w.Restore(ctx, w.store, registry.Restoring{Name: at, Digest: digestOf(other), Now: w.now})
	if !problem.Is(err, problem.NotFound) {
		t.Errorf("what expired came back: %v", err)
	}
	must(t, w.whole(at, digestOf(multi)))
}

// Retention takes manifests that have had no tag for a while, an index and then what is
// in it, but neither what is locked nor what was just pushed.
func TestRetain(t *testing.T) {
	w := newWorld(t)
	ctx, at := t.Context(), name("hello")
	child := w.simple(t, at, "", "one")
	must(t, w.put(at, "multi", index(child)))
	locked := w.simple(t, at, "", "two")
	must(t, w.SetAttributes(ctx, at, digestOf(locked).String(), 0, registry.WriteEnabled))
	w.now = w.now.Add(240 * time.Hour)
	must(t, w.DeleteTag(ctx, at, "multi", "me", w.now))
	w.now = w.now.Add(24 * time.Hour)
	young := w.simple(t, at, "", "three")
	left := func() (n int) {
		all, err := w.Manifests(ctx, at, registry.ManifestQuery{Hidden: true})
		must(t, err)
		return len(all)
	}
	must(t, w.janitor.Retain(ctx, "reg", w.now.Add(-48*time.Hour), w.now))
	same(t, left(), 4)
	must(t, w.janitor.Retain(ctx, "reg", w.now, w.now))
	same(t, left(), 2)
	must(t, w.whole(at, digestOf(locked)))
	must(t, w.whole(at, digestOf(young)))
}

// Every reader gets every event once, in order; what all have read may go.
func TestOutbox(t *testing.T) {
	w := newWorld(t)
	ctx, at := t.Context(), name("hello")
	counter := &registry.PullCounter{Content: w.Content}
	body := w.simple(t, at, "v1", "one")
	for range 3 {
		counter.Count(at, digestOf(body), "v1", w.now)
	}
	counter.Count(name("nobody"), digestOf(body), "v1", w.now)
	must(t, counter.Flush(ctx))
	must(t, counter.Flush(ctx))
	must(t, w.DeleteTag(ctx, at, "v1", "me", w.now))
	read := func(reader string) (seen []string) {
		for {
			events, err := w.store.Events(ctx, reader, 2)
			must(t, err)
			if len(events) == 0 {
				return seen
			}
			for _, e := range events {
				seen = append(seen, string(e.Action)+":"+e.Tag+strings.Repeat("+", int(e.Times)))
			}
			must(t, w.Store.InTx(ctx, func(ctx context.Context) error { return w.store.Done(ctx, reader, events[len(events)-1].ID) }))
		}
	}
	all := []string{"push:v1+", "pull:v1+++", "delete:v1+"}
	same(t, read("one"), all)
	same(t, len(read("one")), 0)
	n, err := w.store.PruneEvents(ctx, w.now.Add(time.Hour), 2)
	must(t, err)
	same(t, n, int64(2))
	same(t, read("two"), all[2:])
	m, err := w.Manifest(ctx, at, digestOf(body).String())
	must(t, err)
	same(t, []any{m.Pulls, m.Pulled}, []any{int64(3), w.now})
	must(t, w.store.Done(ctx, "two", 1))
	same(t, len(read("two")), 0)
}

// Collection goes on while clients push and delete the same images, without any grace: a
// push may be refused, for what it had pushed is gone, but what was answered is whole.
func TestCollectWhilePushing(t *testing.T) {
	w := newWorld(t)
	w.now = time.Now()
	ctx, stop := context.WithCancel(t.Context())
	var collecting, pushing sync.WaitGroup
	collecting.Go(func() {
		for ctx.Err() == nil {
			if _, err := w.collector.Collect(context.Background(), time.Now().Add(time.Hour), 0); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := range 4 {
		pushing.Go(func() {
			at := name(fmt.Sprint("r", i))
			for n := range 60 {
				layer := fmt.Sprint("layer", n%3)
				err := w.push(at, "v1", image("", layer), config, layer)
				if problem.Is(err, problem.Invalid) {
					continue
				}
				if err == nil {
					err = w.whole(at, digestOf(image("", layer)))
				}
				if err == nil {
					err = w.DeleteManifest(context.Background(), at, digestOf(image("", layer)), "me", time.Now())
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	pushing.Wait()
	stop()
	collecting.Wait()
	_, err := w.collector.Collect(t.Context(), time.Now().Add(2*time.Hour), 0)
	must(t, err)
	same(t, w.files(t), 0)
}
