package taskfile

import (
	"context"
	"fmt"
	"maps"
	"strings"
)

// Input is all that a plan is made from.
type Input struct {
	Name       string // of the file, for errors: its path, or "decoded"
	File       []byte
	ValuesFile []byte
	Values     []Value // later ones win
	Run        Run
	// ServiceEnv is what the service adds to the environment of every step, K=V.
	ServiceEnv []string
	// WorkingDirectory is the default of the task's own.
	WorkingDirectory string
	// ImageAliases are the short names of images; nil means ImageAliases().
	ImageAliases map[string]string
	// AliasSource reads a source of aliases: an URL, or a path inside the context.
	// Nil makes files that name sources fail.
	AliasSource func(ctx context.Context, src string) ([]byte, error)
	// Secret reads a vault secret; several are read at the same time. Nil makes files that declare secrets fail.
	Secret func(ctx context.Context, secret Secret) (string, error)

	lint bool // secrets get some text, and what is wrong does not end the reading there
}

// Render makes a plan. Its errors are for the author of the file, in the words of
// Azure's runner, and *Error where a place in the file is known; only if ctx ended
// are they not the author's fault.
func Render(ctx context.Context, in Input) (*Plan, error) {
	r, err := read(ctx, &in)
	if err == nil {
		err = r.found.first(r.rendered)
		if err != nil {
			err = fmt.Errorf(unmarshalStage+"%w", err)
		}
	}
	if err != nil {
		return nil, in.located(err)
	}
	return r.plan, nil
}

// What the runner says before its words about a document.
const (
	unmarshalStage   = "failed to unmarshal task before running: "
	deserializeStage = "failed to deserialize task and validate: "
	secretsStage     = "failed to resolve secrets in the task with error: failed to parse template to create task: "
)

// reading is a task file on its way to a plan.
type reading struct {
	plan        *Plan
	names       *aliases // nil without alias mode
	block, rest sourced  // the alias block and the rest, before aliases were replaced
	whole       bool     // the rest has the alias block as well
	text        sourced  // the template
	rendered    sourced
	doc         *document
	found       findings // by the rules, in the runner's order
}

// read takes a file as far as it goes. What is returned beside an error is as far as it came.
func read(ctx context.Context, in *Input) (*reading, error) {
	r := &reading{plan: &Plan{SharedVolume: in.Run.SharedVolume}}
	if len(in.File) > maxFile {
		return r, fmt.Errorf("failed to load template at path %s: %w", in.Name, tooLarge(fmt.Sprintf("the file is larger than %d bytes", maxFile)))
	}
	file, asked := received(in.File)
	in.File = file // whose places are told
	r.text = sourced{text: string(file)}.withoutMark()
	r.text = r.text.become(dropComments(r.text.text))
	r.plan.AliasMode = asked || findVersion(r.text.text) >= aliasVersion

	data, valuesErr := in.data()
	if r.plan.AliasMode {
		if err := r.applyAliases(ctx, data, valuesErr, in); err != nil {
			return r, err
		}
	}
	if valuesErr != nil {
		return r, fmt.Errorf("unable to render task: error while loading exec steps: %w", valuesErr)
	}
	secrets, err := resolveSecrets(ctx, r.text, data, in)
	if err != nil {
		return r, fmt.Errorf("unable to render task: %w", err)
	}
	for name, value := range secrets {
		data["Secrets"].(map[string]any)[name] = value
		r.plan.SecretValues = append(r.plan.SecretValues, value)
	}
	if r.rendered, err = expand(in.Name, r.text, data); err != nil {
		return r, fmt.Errorf("unable to render task: %w", err)
	}
	if err := r.load(in); err != nil {
		return r, fmt.Errorf(unmarshalStage+"%w", err)
	}
	return r, nil
}

func (in *Input) data() (map[string]any, error) {
	values, err := loadValues(in.ValuesFile, in.Values)
	if err != nil {
		return nil, err
	}
	return templateData(in.Run, values)
}

// applyAliases cuts out the alias block and replaces aliases in the rest.
func (r *reading) applyAliases(ctx context.Context, data map[string]any, dataErr error, in *Input) error {
	block, rest := cutAliases(r.text)
	if block.text == "" {
		block = flowAliases(r.text)
		r.whole = block.text != ""
	}
	if block.text != "" {
		if dataErr != nil {
			return fmt.Errorf("unable to render alias data: %w", dataErr)
		}
		var err error
		if block, err = expand(in.Name, block, data); err != nil {
			return fmt.Errorf("unable to render alias data: %w", err)
		}
	}
	r.block, r.rest = block, rest
	names, err := loadAliases(ctx, block, in)
	if err != nil {
		return fmt.Errorf("unable to search/replace aliases in task: %w", err)
	}
	text, from, err := names.replace(rest.text)
	if err != nil {
		return fmt.Errorf("unable to search/replace aliases in task: %w", err)
	}
	r.names, r.text = names, rest.become(text, from)
	return nil
}

// load reads the rendered text: YAML, rules, defaults, graph.
func (r *reading) load(in *Input) (err error) {
	if r.doc, err = parseDocument(r.rendered); err != nil {
		err = fmt.Errorf(deserializeStage+"%w", err)
	}
	if r.doc == nil || err != nil && !in.lint {
		return err
	}
	p := r.plan
	r.found.stage = deserializeStage
	r.doc.check(&r.found)
	r.found.stage = ""
	p.defaults(r.doc, in, &r.found)
	p.addSteps(r.doc, in, &r.found)
	for i := range p.Steps {
		if p.Steps[i].Kind == KindCmd && r.names != nil {
			p.Steps[i].Cmd = r.names.expandImage(p.Steps[i].Cmd)
		}
		p.Steps[i].Cmd = strings.TrimRight(p.Steps[i].Cmd, " \t\r\n")
		p.Steps[i].inserted = r.rendered.inserted
	}
	return err
}

// secretless returns data with no secrets, for the first rendering.
func secretless(data map[string]any) map[string]any {
	clone := maps.Clone(data)
	clone["Secrets"] = map[string]any{}
	return clone
}
