package taskfile

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/acrux/acrux/internal/nearest"
)

// later notes what no rule forbids and what shows only when a run comes to it.
func (l *linter) later() {
	if l.doc == nil {
		return
	}
	for i, secret := range l.doc.Secrets {
		if secret == nil || secret.KeyVault == "" {
			continue
		}
		if _, err := ParseSecretURL(secret.KeyVault); err != nil {
			l.fault(keyPath("secrets").item(i).key("keyvault"), err)
		}
	}
	for i, volume := range l.doc.Volumes {
		for _, name := range slices.Sorted(maps.Keys(volume.Secret)) {
			if _, err := base64.StdEncoding.DecodeString(volume.Secret[name]); err != nil {
				l.fault(keyPath("volumes").item(i).key("secret").key(name), errBase64)
			}
		}
	}
	for i := range l.plan.Steps {
		l.network(i)
		l.containerName(i)
		l.shellWords(i)
	}
	l.pushes()
}

// shellWords notes values that Azure's shell takes apart and that stay whole here.
func (l *linter) shellWords(i int) {
	own := l.doc.Steps[i].own
	for _, o := range l.plan.Steps[i].altered() {
		where := keyPath("steps").item(i) + "." + o.key
		if o.name == "--env" {
			if entry := o.key.index(); entry >= own {
				where = "env"
			}
		}
		if slices.ContainsFunc(l.found, func(p Problem) bool { return p.Path == string(where) && where == "env" }) {
			continue // the same in each step
		}
		quoted := "" // what a template puts in is not the author's to quote
		if strings.Contains(string(l.in.File), o.value) {
			quoted = shellQuote(o.value)
		}
		l.doubt(l.places.of(where), where, "", quoted,
			"%s stays in one piece here; the shell of Azure's agents takes it apart unless it has quotes of its own", o.title())
	}
}

func (l *linter) fault(where keyPath, err error) {
	l.add(l.places.of(where), Problem{Severity: Fault, Path: string(where), Message: err.Error()})
}

// network notes a network that neither the task nor docker has.
func (l *linter) network(i int) {
	network := l.plan.Steps[i].Network
	at := keyPath("steps").item(i).key("network")
	if id, shared := strings.CutPrefix(network, "container:"); shared {
		known := func(s *stepDocument) bool { return s.ID == id }
		if !slices.ContainsFunc(l.doc.Steps, known) && len(l.found) < maxFindings {
			l.doubt(l.places.of(at), at, id, nearest.Word(id, l.doc.stepNames("")), "there is no step %q whose network could be shared", shorten(id))
		}
		return
	}
	if slices.Contains([]string{"", "host", "none", "bridge", "default"}, network) {
		return
	}
	known := func(n Network) bool { return n.Name == network }
	if slices.ContainsFunc(l.plan.Networks, known) || len(l.found) >= maxFindings {
		return
	}
	var names []string
	for _, declared := range l.plan.Networks {
		names = append(names, declared.Name)
	}
	l.add(l.places.of(at), Problem{Severity: Fault, Path: string(at), Wrong: network, Nearest: nearest.Word(network, names),
		Message: fmt.Sprintf("there is no network %q; the step fails when it starts", shorten(network))})
}

var containerNames = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// containerName notes an ID that cannot be the name of a container.
func (l *linter) containerName(i int) {
	step := l.plan.Steps[i]
	if step.Kind == KindPush || containerNames.MatchString(step.ID) || strings.ContainsAny(step.ID, " \t\r\n") {
		return
	}
	l.fault(keyPath("steps").item(i).key("id"), errors.New("the ID is also the name of the container, which has letters, digits, and behind the first one _ . - only; the step fails when it starts"))
}

// pushes notes images that are pushed and that no step can have made.
func (l *linter) pushes() {
	var tags []string
	var commands strings.Builder
	for i := range l.plan.Steps {
		step := &l.plan.Steps[i]
		commands.WriteString(step.Cmd + "\n")
		for _, tag := range step.Build.Tags {
			tags = append(tags, withTag(tag))
		}
	}
	for i := range l.plan.Steps {
		for j, image := range l.doc.Steps[i].Push {
			name := withTag(image)
			// A command may have made the image; then it names it, with its tag or without.
			made := strings.Contains(commands.String(), name) || strings.Contains(commands.String(), repositoryOf(name)) && !tagged(tags, name)
			if made || slices.Contains(tags, name) {
				continue
			}
			at := keyPath("steps").item(i).key("push").item(j)
			l.doubt(l.places.of(at), at, name, nearest.Word(name, tags), "no step tags the image %q", shorten(name))
		}
	}
}

// tagged reports whether a build makes an image of the same repository.
func tagged(tags []string, name string) bool {
	return slices.ContainsFunc(tags, func(tag string) bool { return repositoryOf(tag) == repositoryOf(name) })
}

// runAliasUse finds names of run aliases in a file that has none.
var runAliasUse = regexp.MustCompile(`(^|[^$])\$(` + strings.Join(runAliases, "|") + `)\b`)

// aliases notes names that look like aliases and are none.
func (l *linter) aliases() {
	if l.names == nil {
		if l.plan.AliasMode {
			return // the block was refused
		}
		for _, at := range runAliasUse.FindAllStringSubmatchIndex(l.text.text, maxFindings) {
			name := l.text.text[at[4]:at[5]]
			if !inAction(l.text.text, at[4]) {
				l.doubt(l.text.offset(at[4]-1), "", "$"+name, "", "$%s stands for nothing without version: v1.1.0; write {{.Run.%s}}, or give the version", name, name)
			}
		}
		return
	}
	if l.unread {
		return
	}
	known := slices.Sorted(maps.Keys(l.names.values))
	sign := string(l.names.directive)
	for _, unknown := range l.names.unknown {
		right := nearest.Word(unknown.name, known)
		// Names in capital letters are variables of the shell.
		meant := right != "" && strings.ToUpper(unknown.name) != unknown.name && (len(unknown.name) > 3 || strings.EqualFold(right, unknown.name))
		if inAction(l.rest.text, unknown.at) || !meant && !l.inImage(sign+unknown.name) {
			continue
		}
		if right != "" {
			right = sign + right
		}
		l.doubt(l.rest.offset(unknown.at), "", sign+unknown.name, right, "there is no alias %q; it stays as it is", shorten(sign+unknown.name))
	}
}

// inImage reports whether a name is left in what is no line of a shell: no variable
// can be meant there.
func (l *linter) inImage(name string) bool {
	for i := range l.plan.Steps {
		for _, image := range slices.Concat(l.plan.Steps[i].Push, l.plan.Steps[i].Build.Tags) {
			if strings.Contains(image, name) {
				return true
			}
		}
	}
	return false
}

// inAction reports whether a place of a template is within {{ and }}.
func inAction(text string, at int) bool {
	return strings.LastIndex(text[:at], "{{") > strings.LastIndex(text[:at], "}}")
}
