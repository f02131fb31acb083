package trigger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/oci"
	"github.com/acrux/acrux/internal/registryclient"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/tasks/lease"
	"github.com/acrux/acrux/internal/tasks/run"
	"github.com/acrux/acrux/internal/tasks/task"
)

// questionTime bounds a question about an image, with signing in for it.
const questionTime = 30 * time.Second

// round is what was found out about images that were due at a time.
type round struct {
	*Service
	now   time.Time
	asked map[string]bool // images

	mu      sync.Mutex
	updates map[string]*update // of tasks, by their keys
}

// asker is as whom a registry is asked for an image, and the tasks for which it is.
type asker struct {
	login lease.Login // empty asks as nobody
	bases []Base
	tasks []task.Task // of the bases
}

// askImage asks for what an image means, once as each of those as whom tasks pull it, and notes
// for which it has moved. busy is how long the host said not to ask again.
func (r *round) askImage(ctx context.Context, p Poll) (busy time.Duration, err error) {
	askers, wanted, err := r.askers(ctx, p.Image)
	if err != nil {
		return 0, err
	}
	if !wanted {
		return 0, r.Store.EndPoll(ctx, p)
	}
	failed := false
	for _, a := range askers {
		digest, err := r.question(ctx, p.Image, a)
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		var tooBusy *registryclient.Busy
		if errors.As(err, &tooBusy) {
			busy = max(busy, tooBusy.After)
		}
		failed = failed || err != nil
		if err := r.take(ctx, p.Image, a, digest, err); err != nil {
			return 0, err
		}
	}
	switch {
	case failed:
		_, err = r.Store.MovePoll(ctx, p, r.now.Add(r.Every.backOff(p.Failures+1, busy)), p.Failures+1)
	case p.Failures > 0:
		_, err = r.Store.MovePoll(ctx, p, p.Due, 0)
	}
	return busy, err
}

// askers finds as whom to ask for an image: tasks that pull it as the same share one. It is not
// wanted if no task has a trigger for it; one that is disabled is told that nobody looked.
func (r *round) askers(ctx context.Context, image string) (all []*asker, wanted bool, err error) {
	bases, err := r.Store.BuiltOn(ctx, []string{image}, "")
	if err != nil {
		return nil, false, err
	}
	byLogin := map[string]*asker{}
	for _, b := range bases {
		t, err := r.Tasks.Details(ctx, b.Task)
		if problem.Is(err, problem.NotFound) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		trigger := baseTrigger(t)
		if !trigger.takes(b.Kind) {
			continue
		}
		wanted = true
		if ok, why := enabled(t, trigger.Status); !ok {
			if err := r.note(ctx, t, image, "not looked at: "+why, "not looked at: "+why); err != nil {
				return nil, false, err
			}
			continue
		}
		login := loginAt(t, image)
		key := loginKey(t, login)
		if byLogin[key] == nil {
			byLogin[key] = &asker{login: login}
			all = append(all, byLogin[key])
		}
		byLogin[key].bases, byLogin[key].tasks = append(byLogin[key].bases, b), append(byLogin[key].tasks, t)
	}
	return all, wanted, nil
}

// loginAt is the login that a task has for the registry of an image; an empty one if it has none.
func loginAt(t task.Task, image string) lease.Login {
	host, _, _ := strings.Cut(image, "/")
	for _, login := range run.Logins(t.Properties) {
		if egress.CanonicalHost(login.Registry) == egress.CanonicalHost(host) {
			return login
		}
	}
	return lease.Login{}
}

// loginKey is the same for those who are the same to a registry. A system identity is its
// task's own.
func loginKey(t task.Task, login lease.Login) string {
	switch login.Identity {
	case "":
		return login.Username.Reveal() + "\x00" + login.Password.Reveal()
	case lease.SystemIdentity:
		return "\x00system\x00" + t.ID.Key()
	}
	return "\x00identity\x00" + login.Identity
}

// question asks for what an image means as somebody; "" if the tag is not there.
func (r *round) question(ctx context.Context, image string, a *asker) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, questionTime)
	defer cancel()
	at := updated(Base{Image: image}, "")
	username, password, err := r.credential(ctx, at.Registry, a)
	if err != nil {
		return "", err
	}
	return r.Elsewhere.Digest(ctx, at.Registry, at.Repository, at.Tag, username, password)
}

// credential is what a registry is asked with. An identity's token goes to those alone that may
// know who it is.
func (r *round) credential(ctx context.Context, host string, a *asker) (username string, password secret.String, err error) {
	if a.login.Identity == "" {
		return a.login.Username.Reveal(), a.login.Password, nil
	}
	if !r.Elsewhere.Exchanges(host) {
		return "", secret.String{}, fmt.Errorf("%s is not given a token of an identity", host)
	}
	request := lease.TokenRequest{Audience: registryclient.Audience}
	if a.login.Identity != lease.SystemIdentity {
		request.ClientID = a.login.Identity
	}
	token, err := r.Runs.TaskToken(ctx, a.tasks[0].ID, request)
	if err != nil {
		return "", secret.String{}, err
	}
	password, err = r.Elsewhere.Exchange(ctx, host, token.Token)
	return oci.RefreshUser, password, err
}

// take notes an answer for the tasks for which it was asked for.
func (r *round) take(ctx context.Context, image string, a *asker, digest string, failure error) error {
	if failure == nil && digest != "" {
		r.noteMoved(a.bases, digest)
		return nil
	}
	reason, sort := "its tag is not there any more", "no tag"
	if failure != nil {
		reason, sort = r.words(image, a, failure)
	}
	return r.Store.InTx(ctx, func(ctx context.Context) error {
		for _, t := range a.tasks {
			if err := r.note(ctx, t, image, reason, sort); err != nil {
				return err
			}
		}
		return nil
	})
}

// noteMoved notes the bases that mean something else now.
func (r *round) noteMoved(bases []Base, digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range bases {
		if b.Digest != digest {
			updateOf(r.updates, b.Task).add(b, digest, "")
		}
	}
}

// maxWords bounds what a registry may say in an entry, in bytes.
const maxWords = 500

// words say why an image could not be asked for, and what sort of reason that is, which is the
// same when it happens again.
func (r *round) words(image string, a *asker, failure error) (reason, sort string) {
	host, _, _ := strings.Cut(image, "/")
	var refused *registryclient.Refusal
	if !errors.As(failure, &refused) {
		text := strings.ReplaceAll(failure.Error(), "\n", " ")
		if advice := r.Elsewhere.Dialer.Advice(host, failure); advice != "" {
			text += "; " + strings.ReplaceAll(advice, "\n", "; ")
		}
		return "it could not be asked for: " + cut(text), "failed"
	}
	who := "nobody"
	switch {
	case a.login.Identity != "":
		who = "the task's identity"
	case !a.login.Username.Empty():
		who = "the task's user " + a.login.Username.Reveal()
	}
	text := fmt.Sprintf("%s does not show it to %s: %s", host, who, refused.Phrase)
	if lines := refused.Lines(); len(lines) > 0 {
		text += ", " + strings.Join(lines, "; ")
	}
	return cut(text), "refused " + refused.Phrase
}

func cut(text string) string {
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "") + "…"
	}
	return text
}

// note writes an entry without a run for an image. The same sort of reason again counts.
func (r *round) note(ctx context.Context, t task.Task, image, reason, sort string) error {
	_, err := r.Store.Record(ctx, Entry{Task: t.ID, Kind: ByImage, Trigger: baseTrigger(t).Name, Object: image + ": ",
		Time: r.now, Reason: reason, Cause: sort + " " + image, Times: 1})
	return err
}
