package engine

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// newFlags returns a flag set that parses as docker's client does.
func newFlags(name string, interspersed bool) *pflag.FlagSet {
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.SetInterspersed(interspersed)
	flags.SortFlags = false
	return flags
}

// refusal is an option that docker has and we do not support: using it is an error
// that names it.
type refusal struct{ client, name string }

func (r *refusal) String() string { return "" }
func (r *refusal) Type() string   { return "" }
func (r *refusal) Set(string) error {
	return fmt.Errorf("the option --%s of %s is not supported", r.name, r.client)
}

// refuse declares options that are refused: "name", "name=s" with the short form
// s, and a leading ! for those that take no value.
func refuse(flags *pflag.FlagSet, client string, options ...string) {
	for _, option := range options {
		option, boolean := strings.CutPrefix(option, "!")
		name, short, _ := strings.Cut(option, "=")
		flag := flags.VarPF(&refusal{client, name}, name, short, "")
		if boolean {
			flag.NoOptDefVal = "true"
		}
	}
}

// parseFlags parses words. Its failure is the text of the refusal, or docker's own.
func parseFlags(flags *pflag.FlagSet, words []string) error {
	err := flags.Parse(words)
	if err == nil {
		return nil
	}
	text := err.Error()
	if at := strings.Index(text, "the option --"); at >= 0 {
		text = text[at:]
	}
	return Failure(text)
}
