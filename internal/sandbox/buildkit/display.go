package buildkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/client"
	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"github.com/acrux/acrux/internal/sandbox/buildlog"
	"github.com/acrux/acrux/internal/sandbox/imagestore"
)

// display prints one build: as the classic builder, or as BuildKit does.
type display struct {
	*prepared
	out     io.Writer
	classic *buildlog.Classic // one of the two is nil
	plain   *buildlog.Plain
	done    chan struct{}
	// completed are the vertices that ended well, and whether the cache had them. It is
	// there to read after wait.
	completed map[string]bool
	// unlike are the vertices whose program is for another kind of processor, as the kernel
	// says. It is there to read after wait.
	unlike map[string]bool

	mu       sync.Mutex
	bases    map[string]string // names that people know, by those of the run
	warnings []buildlog.Warning
	fault    string // the vertex that failed first; known when all reports are printed
}

func newDisplay(p *prepared, out io.Writer) *display {
	d := &display{prepared: p, out: out, done: make(chan struct{}), bases: map[string]string{},
		completed: map[string]bool{}, unlike: map[string]bool{}}
	if p.Plain {
		d.plain = buildlog.NewPlain(out)
		return d
	}
	d.classic = buildlog.NewClassic(out)
	d.classic.Begin(p.file.log())
	return d
}

// start returns the channel that BuildKit reports to, and closes at the end.
func (d *display) start() chan *client.SolveStatus {
	reports := make(chan *client.SolveStatus, 16)
	go func() {
		defer close(d.done)
		for report := range reports {
			d.count(report)
			for _, w := range report.Warnings {
				d.warned(w.Vertex, warningAt(string(w.Short), w.Range))
			}
			if d.classic != nil {
				d.follow(report)
			} else {
				d.followPlain(report)
			}
		}
	}()
	return reports
}

// wait waits until all reports are printed.
func (d *display) wait() { <-d.done }

// count notes what has ended.
func (d *display) count(report *client.SolveStatus) {
	for _, v := range report.Vertexes {
		if v.Completed != nil && v.Error == "" {
			// What comes from a cache elsewhere is told of again when it was fetched.
			d.completed[v.Digest.String()] = v.Cached || d.completed[v.Digest.String()]
		}
	}
	for _, log := range report.Logs {
		if bytes.Contains(log.Data, []byte(formatError)) {
			d.unlike[log.Vertex.String()] = true
		}
	}
}

// follow passes on what a classic log shows. Output comes before the end of what gave
// it: both may be in one report.
func (d *display) follow(report *client.SolveStatus) {
	for _, log := range report.Logs {
		d.classic.Log(log.Vertex.String(), log.Stream, log.Data)
	}
	for _, v := range report.Vertexes {
		switch {
		case v.Completed != nil && v.Error == "":
			d.classic.Done(v.Digest.String(), v.Cached)
		case v.Error != "" && d.fault == "" && !strings.Contains(v.Error, context.Canceled.Error()):
			d.fault = v.Digest.String()
		}
	}
}

// followPlain passes on what BuildKit's own output shows, with the names that people
// know in place of those of the run.
func (d *display) followPlain(report *client.SolveStatus) {
	for _, v := range report.Vertexes {
		if v.Completed == nil {
			d.plain.Vertex(d.vertex(v))
		}
	}
	for _, log := range report.Logs {
		d.plain.Log(log.Vertex.String(), log.Stream, log.Timestamp, log.Data)
	}
	for _, status := range report.Statuses {
		if status.Completed != nil {
			d.plain.Status(status.Vertex.String(), d.human(status.ID))
		}
	}
	for _, v := range report.Vertexes {
		d.plain.Vertex(d.vertex(v))
	}
}

func (d *display) vertex(v *client.Vertex) buildlog.Vertex {
	out := buildlog.Vertex{ID: v.Digest.String(), Name: d.human(v.Name), Cached: v.Cached, Error: v.Error}
	if v.Started != nil {
		out.Started = *v.Started
	}
	if v.Completed != nil {
		out.Stopped = *v.Completed
	}
	return out
}

// human replaces the names under which the run keeps images.
func (d *display) human(text string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ref, name := range d.bases {
		text = strings.ReplaceAll(text, ref, name)
	}
	if d.remoteName != "" {
		built := "the image"
		if len(d.tags) > 0 {
			built = d.tags[0].String()
		}
		text = strings.ReplaceAll(text, d.remoteName, built)
	}
	for _, tag := range d.tags {
		text = strings.ReplaceAll(text, d.Images.Name(tag), tag.String())
	}
	return text
}

// base implements observer.
func (d *display) base(image reference.Named, ref string, found imagestore.Image, local bool) {
	if local || d.remoteName != "" {
		d.mu.Lock()
		d.bases[ref] = image.String()
		d.mu.Unlock()
	}
	if d.classic == nil {
		return
	}
	intro := ""
	if !local {
		intro = imagestore.PullStart(image) + imagestore.PullEnd(image, found.Target.Digest, found.Complete)
	}
	for i, step := range d.file.steps {
		if step.base == image.String() {
			d.classic.Base(i, intro, found.Config.Encoded()[:12])
		}
	}
}

// defined implements observer. The definition says which lines a vertex comes from.
// Definitions that come from no file are the frontend's own, for reading the context.
func (d *display) defined(definition *pb.Definition) {
	if d.classic == nil || definition.Source == nil {
		return
	}
	found := false
	for vertex, locations := range definition.Source.Locations {
		for _, location := range locations.Locations {
			if len(location.Ranges) == 0 {
				continue
			}
			if step, ok := d.file.at(int(location.Ranges[0].Start.Line)); ok {
				d.classic.Locate(vertex, step)
				found = true
			}
		}
	}
	if found {
		d.classic.Located()
	}
}

// warned implements observer.
func (d *display) warned(vertex digest.Digest, warning buildlog.Warning) {
	warning.Text = d.human(d.secrets.asWritten(warning.Text))
	d.mu.Lock()
	d.warnings = append(d.warnings, warning)
	d.mu.Unlock()
	if d.plain != nil {
		d.plain.Warn(vertex.String(), warning.Text)
	}
}

// lintViolation is how BuildKit's frontend fails a build whose Dockerfile wants no warnings.
const lintViolation = "lint violation found for rules"

func (d *display) succeeded(result Result) error {
	if d.classic == nil {
		_, err := io.WriteString(d.out, buildlog.Warnings(d.warnings))
		return err
	}
	d.classic.End()
	_, id, _ := strings.Cut(result.ImageID, ":")
	text := fmt.Sprintf("Successfully built %s\n", id[:min(12, len(id))])
	for _, tag := range d.tags {
		text += fmt.Sprintf("Successfully tagged %s\n", reference.FamiliarString(tag))
	}
	_, err := io.WriteString(d.out, text)
	return err
}

// failed prints why the build failed.
func (d *display) failed(err error, found *findings, secrets secrets) error {
	text := d.human(secrets.asWritten(d.reason(err, found)))
	if d.classic == nil {
		text = "ERROR: " + text
	}
	// The classic builder, whose log is printed, knows no warnings, unless they are the reason.
	if d.classic == nil || strings.Contains(text, lintViolation) {
		text = buildlog.Warnings(d.warnings) + text
	}
	_, err = fmt.Fprintln(d.out, text)
	return err
}

// reason is what a docker client prints, and takes the classic log to the step that
// failed.
func (d *display) reason(err error, found *findings) string {
	step, located := d.failedStep(err, found)
	if d.classic != nil && located {
		d.classic.Failed(step)
	}
	if found.failure != nil {
		return found.failure.Error()
	}
	command, code, exited := exitOf(err, found)
	switch {
	case exited:
		text := fmt.Sprintf("The command '%s' returned a non-zero code: %s", command, code)
		if why := d.notEmulated(err, found); why != "" {
			text += "\n" + d.place(step, located, command) + why
		}
		return text
	case located && (d.file.steps[step].name == "copy" || d.file.steps[step].name == "add"):
		if missing := missingIn(err); missing != "" {
			return fmt.Sprintf("%s failed: file not found in build context or excluded by .dockerignore: stat %s: file does not exist",
				strings.ToUpper(d.file.steps[step].name), missing)
		}
	}
	if name := d.prepared.unsendable(); name != "" && strings.Contains(err.Error(), "UTF-8") {
		return fmt.Sprintf("the name of the file %q is not UTF-8, as names in builds must be: rename it, or list it in .dockerignore", name)
	}
	if cause := d.prepared.unreadable(); cause != nil && strings.Contains(err.Error(), context.Canceled.Error()) {
		return cause.Error()
	}
	return plainReason(err)
}

// exitOf finds out whether a command failed. Older BuildKits, such as Docker 20.10's, say so
// in words only.
func exitOf(err error, found *findings) (command, code string, ok bool) {
	var exit *gatewayapi.ExitError
	var vertex *errdefs.VertexError
	if errors.As(err, &exit) && errors.As(err, &vertex) {
		return strings.Join(found.commands[vertex.Digest], " "), strconv.FormatUint(uint64(exit.ExitCode), 10), true
	}
	if words := exitInWords.FindStringSubmatch(err.Error()); words != nil {
		return words[1], words[2], true
	}
	return "", "", false
}

var exitInWords = regexp.MustCompile(`(?s)executor failed running \[(.*)\]: exit code: (\d+)`)

// missingIn is the file that a COPY did not find; empty if that was not it.
func missingIn(err error) string {
	if missing := missingFile.FindStringSubmatch(err.Error()); missing != nil {
		return strings.TrimPrefix(missing[1], "/")
	}
	return ""
}

var missingFile = regexp.MustCompile(`"([^"]+)":? not found`)

// failedStep finds the step at fault.
func (d *display) failedStep(err error, found *findings) (int, bool) {
	if found.failure != nil {
		for i, step := range d.file.steps {
			if step.base == found.failed {
				return i, true
			}
		}
		return 0, false
	}
	var vertex *errdefs.VertexError
	if errors.As(err, &vertex) && d.classic != nil {
		if step, ok := d.classic.StepOf(vertex.Digest); ok {
			return step, true
		}
	}
	if d.fault != "" {
		if step, ok := d.classic.StepOf(d.fault); ok {
			return step, true
		}
	}
	for _, source := range errdefs.Sources(err) {
		for _, r := range source.Ranges {
			if step, ok := d.file.at(int(r.Start.Line)); ok {
				return step, true
			}
		}
	}
	return d.copyOf(missingIn(err))
}

// copyOf finds the step that copies a file. Older BuildKits do not say which.
func (d *display) copyOf(file string) (int, bool) {
	for i, step := range d.file.steps {
		if file != "" && (step.name == "copy" || step.name == "add") && strings.Contains(step.text, file) {
			return i, true
		}
	}
	return 0, false
}

// plainReason drops what the libraries put before the reason.
func plainReason(err error) string {
	text := imagestore.Redact(err.Error())
	for _, prefix := range []string{"failed to run Build function: ", "failed to solve: ", "rpc error: code = Unknown desc = "} {
		for {
			cut := strings.TrimPrefix(text, prefix)
			if cut == text {
				break
			}
			text = cut
		}
	}
	return text
}
