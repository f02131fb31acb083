package cli

import (
	"fmt"
	"strings"
)

// text writes the plan for people.
func (s *shownPlan) text(b *strings.Builder) {
	where := ""
	if s.Registry != "" {
		where = ", in " + s.Registry
	}
	fmt.Fprintf(b, "%s: %d steps, version %s%s\n", s.File, len(s.Steps), s.Version, where)
	for _, warning := range s.Warnings {
		fmt.Fprintf(b, "warning: %s\n", warning)
	}
	if len(s.Levels) > 0 {
		b.WriteString("\nOrder\n")
	}
	for i, level := range s.Levels {
		fmt.Fprintf(b, "  %d  %s\n", i+1, strings.Join(level, ", "))
	}
	b.WriteString("\nSteps\n")
	for _, step := range s.Steps {
		step.text(b)
	}
	s.surroundings(b)
	images(b, "Pulled", s.Pulls)
	images(b, "Pushed", s.Pushes)
	if len(s.Registries) > 0 {
		b.WriteString("\nRegistries\n")
	}
	for _, registry := range s.Registries {
		registry.text(b)
	}
}

func (s shownStep) text(b *strings.Builder) {
	after := "at once"
	if len(s.After) > 0 {
		after = "after " + strings.Join(s.After, ", ")
	}
	fmt.Fprintf(b, "  %s (%s, %s, at most %d s%s)\n", s.ID, s.Kind, after, s.Timeout, s.more())
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(b, "      %s%s\n", name, strings.ReplaceAll(value, "\n", "\n      "))
		}
	}
	line("", s.Command)
	if s.Kind == "push" {
		line("pushes ", strings.Join(s.Images, ", "))
	} else {
		line("makes ", strings.Join(s.Images, ", "))
	}
	line("begins with ", strings.Join(s.Bases, ", "))
	line("not known: ", s.Unknown)
	line("WILL FAIL: ", s.Fails)
}

// more are the properties that are not at their default.
func (s shownStep) more() string {
	text := ""
	if s.StartDelay > 0 {
		text += fmt.Sprintf(", waits %d s", s.StartDelay)
	}
	if s.Retries > 0 {
		text += fmt.Sprintf(", %d retries every %d s", s.Retries, s.RetryDelay)
	}
	if len(s.RetryOnErrors) > 0 {
		text += fmt.Sprintf(" on %q", s.RetryOnErrors)
	}
	if s.Repeat > 0 {
		text += fmt.Sprintf(", repeated %d times", s.Repeat)
	}
	if s.Pull {
		text += fmt.Sprintf(", pulls anew with %d retries every %d s", s.PullRetries, s.PullDelay)
	}
	if s.IgnoreErrors {
		text += ", may fail"
	}
	return text
}

func (s *shownPlan) surroundings(b *strings.Builder) {
	if len(s.Networks) > 0 {
		b.WriteString("\nNetworks\n")
	}
	for _, n := range s.Networks {
		text := n.Name
		for _, property := range []struct {
			has  bool
			text string
		}{{n.Driver != "", n.Driver}, {n.IPv6, "IPv6"}, {n.Exists, "is there already"}, {n.Default, "default"}} {
			if property.has {
				text += ", " + property.text
			}
		}
		fmt.Fprintf(b, "  %s\n", text)
	}
	if len(s.Volumes) > 0 {
		b.WriteString("\nVolumes\n")
	}
	for _, v := range s.Volumes {
		fmt.Fprintf(b, "  %s: %s\n", v.Name, strings.Join(v.Files, ", "))
	}
}

func images(b *strings.Builder, title string, list []shownImage) {
	if len(list) > 0 {
		fmt.Fprintf(b, "\n%s\n", title)
	}
	for _, image := range list {
		fmt.Fprintf(b, "  %s (%s)\n", image.Image, strings.Join(image.Steps, ", "))
	}
}

func (r shownRegistry) text(b *strings.Builder) {
	var does []string
	if r.Pull {
		does = append(does, "pull")
	}
	if r.Push {
		does = append(does, "push")
	}
	fmt.Fprintf(b, "  %s: %s as %s; rights %s\n", r.Server, strings.Join(does, " and "), r.As, r.Rights)
	if r.Note != "" {
		fmt.Fprintf(b, "      %s\n", r.Note)
	}
	for _, right := range r.Missing {
		fmt.Fprintf(b, "      missing: %s\n", right)
	}
	for _, fix := range r.Fixes {
		fmt.Fprintf(b, "      hint: %s\n", fix)
	}
}
