package trigger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/task"
)

// defaultBaseTrigger names the trigger that clients give every task.
const defaultBaseTrigger = "defaultBaseimageTriggerName"

// planBases writes which images a task waits for. One that got other content while the run
// that taught the task about it was under way is an update at once. What cannot be waited
// for is told.
func (s *Service) planBases(ctx context.Context, t task.Task, now time.Time) error {
	var bases []Base
	var polls []Poll
	trigger := baseTrigger(t)
	for _, image := range t.Properties.Step.BaseImages {
		name := ImageOf(image.Registry, image.Repository, image.Tag)
		elsewhere, why, err := s.watched(ctx, image)
		if err != nil {
			return err
		}
		if why == "" {
			bases = append(bases, Base{Task: t.ID, Image: name, Kind: image.Type, Digest: image.Digest})
			if elsewhere && trigger.takes(image.Type) {
				polls = append(polls, Poll{Image: name, Due: now.Add(s.Every.next())})
			}
		} else if trigger.takes(image.Type) {
			e := Entry{Task: t.ID, Kind: ByImage, Trigger: trigger.Name, Object: strings.TrimSuffix(name, ":") + ": ", Time: now, Reason: why, Times: 1}
			if err := s.record(ctx, e); err != nil {
				return err
			}
		}
	}
	fresh, err := s.Store.PutBases(ctx, t.ID, bases)
	if err != nil {
		return err
	}
	if err := s.Store.PutPolls(ctx, polls); err != nil {
		return err
	}
	u := newUpdate(t.ID)
	for _, b := range fresh {
		if err := s.moved(ctx, u, b); err != nil {
			return err
		}
	}
	if len(u.bases) == 0 {
		return nil
	}
	return s.fireUpdate(ctx, u, now)
}

// watched says whether an image is elsewhere, where one has to ask for it, and why nobody sees
// when it gets other content; "" if somebody does.
func (s *Service) watched(ctx context.Context, image task.BaseImage) (elsewhere bool, why string, err error) {
	if image.Tag == "" || image.Digest == "" {
		return false, "it is named by its digest, or that was not found out", nil
	}
	_, err = s.Registries.ByHost(ctx, image.Registry)
	switch {
	case err == nil:
		return false, "", nil
	case !isElsewhere(err):
		return false, "", err
	case s.Elsewhere.Dialer.IsOwn(image.Registry):
		return true, "its registry is not there any more", nil
	case s.Every.off():
		return true, "it is in no registry of this installation, and others are not asked: triggers.baseImagePoll is off", nil
	}
	return true, "", nil
}

// isElsewhere reports whether an error says that a host is no registry of this installation.
func isElsewhere(err error) bool {
	return errors.Is(err, resource.ErrNotFound) || problem.Is(err, problem.NotFound)
}

// moved adds a base to an update if its tag means something else by now. About one elsewhere
// its next poll will say so.
func (s *Service) moved(ctx context.Context, u *update, b Base) error {
	image := updated(b, "")
	reg, err := s.Registries.ByHost(ctx, image.Registry)
	if isElsewhere(err) {
		return nil
	}
	if err != nil {
		return err
	}
	digest, err := s.current(ctx, registry.Name{Registry: strings.ToLower(reg.ID.Name()), Repository: image.Repository}, image.Tag)
	if err == nil && digest != "" && digest != b.Digest {
		u.add(b, digest, "")
	}
	return err
}

// current is the digest that a tag means; "" if it is not there any more.
func (s *Service) current(ctx context.Context, name registry.Name, tag string) (string, error) {
	found, err := s.Content.Tag(ctx, name, tag)
	if problem.Is(err, problem.NotFound) {
		return "", nil
	}
	return found.Digest.String(), err
}

// reader is the name of this package at the outbox.
const reader = "triggers"

// batch is how many events are read at once: what moves together makes one run.
const batch = 500

// Look starts the tasks that were built on what was pushed since it was last asked.
func (s *Service) Look(ctx context.Context, now time.Time) error {
	for {
		events, err := s.Outbox.Events(ctx, reader, batch)
		if err != nil || len(events) == 0 {
			return err
		}
		updates, err := s.updates(ctx, events)
		if err != nil {
			return err
		}
		if err := s.fireAll(ctx, updates, now); err != nil {
			return err
		}
		last := events[len(events)-1].ID
		if err := s.Store.InTx(ctx, func(ctx context.Context) error { return s.Outbox.Done(ctx, reader, last) }); err != nil {
			return err
		}
	}
}

// update are the bases of one task that have moved.
type update struct {
	task   arm.ID
	bases  []Base            // as the task knows them
	now    map[string]string // what they mean, by their keys
	actors map[string]string // who pushed that
}

// fireAll starts the tasks of updates.
func (s *Service) fireAll(ctx context.Context, updates map[string]*update, now time.Time) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, u := range updates {
		group.Go(func() error { return s.fireUpdate(ctx, u, now) })
	}
	return group.Wait()
}

// updates finds the tasks that events concern, by their keys.
func (s *Service) updates(ctx context.Context, events []registry.Event) (map[string]*update, error) {
	all := map[string]*update{}
	for _, e := range events {
		if e.Action != registry.Pushed && e.Action != registry.Restored || e.Tag == "" {
			continue
		}
		images, err := s.names(ctx, e)
		if err != nil {
			return nil, err
		}
		// Where the tag has moved on, the event of that counts: so what is seen again after a
		// kill comes to the same.
		digest, err := s.current(ctx, e.Name, e.Tag)
		if err != nil {
			return nil, err
		}
		if digest != e.Digest.String() {
			continue
		}
		bases, err := s.Store.BuiltOn(ctx, images, digest)
		if err != nil {
			return nil, err
		}
		for _, b := range bases {
			updateOf(all, b.Task).add(b, digest, e.Actor)
		}
	}
	return all, nil
}

// updateOf is the update of a task among others.
func updateOf(all map[string]*update, task arm.ID) *update {
	u := all[task.Key()]
	if u == nil {
		u = newUpdate(task)
		all[task.Key()] = u
	}
	return u
}

func newUpdate(task arm.ID) *update {
	return &update{task: task, now: map[string]string{}, actors: map[string]string{}}
}

func (u *update) add(b Base, digest, actor string) {
	if _, known := u.now[b.key()]; !known {
		u.bases = append(u.bases, b)
	}
	u.now[b.key()], u.actors[b.key()] = digest, actor
}

func (b Base) key() string { return b.Image + " " + b.Kind }

// names are those by which tasks may know the image of an event: its registry's login server
// and aliases.
func (s *Service) names(ctx context.Context, e registry.Event) (images []string, err error) {
	reg, err := s.Registries.ByName(ctx, e.Name.Registry)
	if problem.Is(err, problem.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	hosts := []string{reg.Properties.LoginServer}
	for alias, id := range s.Registries.Aliases {
		if id.Key() == reg.ID.Key() {
			hosts = append(hosts, alias)
		}
	}
	for _, host := range hosts {
		images = append(images, ImageOf(host, e.Name.Repository, e.Tag))
	}
	return images, nil
}

// fireUpdate starts a task whose bases have moved, if its trigger says so.
func (s *Service) fireUpdate(ctx context.Context, u *update, now time.Time) error {
	t, err := s.Tasks.Get(ctx, u.task)
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	trigger := baseTrigger(t)
	if trigger.BaseImageTrigger == nil {
		return nil
	}
	e := Entry{Task: t.ID, Kind: ByImage, Trigger: trigger.Name, Time: now, Cause: uuid.NewString()}
	cause := run.ImageUpdate{ID: e.Cause, Timestamp: arm.Time(now)}
	var objects []string
	for _, b := range u.bases {
		if !trigger.takes(b.Kind) {
			continue
		}
		image := updated(b, u.now[b.key()])
		cause.Images = append(cause.Images, image)
		objects = append(objects, fmt.Sprintf("%s: %s, before %s", b.Image, image.Digest, b.Digest))
	}
	if len(cause.Images) == 0 {
		return nil // build-time images, of which the trigger takes no note
	}
	e.Object = strings.Join(objects, "; ")
	if e.Reason, err = s.ownPush(ctx, t, u); err != nil {
		return err
	}
	if ok, why := enabled(t, trigger.Status); !ok {
		e.Reason = why
	}
	return s.fire(ctx, e, run.Cause{Image: &cause}, func(ctx context.Context) (todo bool, err error) {
		for _, b := range u.bases {
			moved, err := s.Store.MoveBase(ctx, b, u.now[b.key()])
			if err != nil {
				return false, err
			}
			todo = todo || moved
		}
		return todo, nil
	})
}

// ownPush says why images that runs of the task itself have pushed make no run of it: each would
// make the next.
func (s *Service) ownPush(ctx context.Context, t task.Task, u *update) (string, error) {
	for _, b := range u.bases {
		pushed, err := s.pushedBy(ctx, t, updated(b, u.now[b.key()]), u.actors[b.key()])
		if err != nil || !pushed {
			return "", err
		}
	}
	return "a run of the task itself pushed the image", nil
}

// pushedBy reports whether a run of a task pushed an image: it is who did, or, where nobody says
// who did, it told so.
func (s *Service) pushedBy(ctx context.Context, t task.Task, image run.UpdatedImage, actor string) (bool, error) {
	if actor == "" {
		runs, _, err := s.Runs.List(ctx, t.ID.Parent(), run.Filter{Task: t.ID.Name(), Output: image.Repository + "@" + image.Digest, Top: 1})
		return len(runs) > 0, err
	}
	id, err := arm.ParseID(actor)
	if err != nil || id.Kind().Key() != run.Kind.Key() {
		return false, nil
	}
	r, err := s.Runs.Get(ctx, id)
	if problem.Is(err, problem.NotFound) {
		return false, nil
	}
	return err == nil && r.Properties.Task != nil && id.Parent().Key() == t.ID.Parent().Key() &&
		strings.EqualFold(*r.Properties.Task, t.ID.Name()), err
}

// imageTrigger is the base image trigger of a task.
type imageTrigger struct{ *task.BaseImageTrigger }

func baseTrigger(t task.Task) imageTrigger {
	if t.Properties.Trigger == nil || t.Properties.Trigger.BaseImage == nil {
		return imageTrigger{}
	}
	trigger := *t.Properties.Trigger.BaseImage
	if trigger.Name == "" {
		trigger.Name = defaultBaseTrigger
	}
	return imageTrigger{&trigger}
}

// takes reports whether there is a trigger, which takes note of bases of a kind.
func (t imageTrigger) takes(kind string) bool {
	return t.BaseImageTrigger != nil && (kind == "RunTime" || strings.EqualFold(t.Type, "All"))
}

func updated(b Base, digest string) run.UpdatedImage {
	host, rest, _ := strings.Cut(b.Image, "/")
	i := strings.LastIndex(rest, ":")
	return run.UpdatedImage{Type: b.Kind, Registry: host, Repository: rest[:i], Tag: rest[i+1:], Digest: digest, OldDigest: b.Digest}
}
