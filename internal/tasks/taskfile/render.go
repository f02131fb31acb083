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
}

// Render makes a plan. Its errors are for the author of the file, in the words of
// Azure's runner; only if ctx ended are they not the author's fault.
func Render(ctx context.Context, in Input) (*Plan, error) {
	if len(in.File) > maxOutput {
		return nil, fmt.Errorf("failed to load template at path %s: the file is larger than %d bytes", in.Name, maxOutput)
	}
	text := dropComments(string(in.File))
	plan := &Plan{AliasMode: findVersion(text) >= aliasVersion, SharedVolume: in.Run.SharedVolume}

	data, valuesErr := in.data()
	var names *aliases
	if plan.AliasMode {
		var err error
		if names, text, err = applyAliases(ctx, text, data, valuesErr, &in); err != nil {
			return nil, err
		}
	}
	if valuesErr != nil {
		return nil, fmt.Errorf("unable to render task: error while loading exec steps: %w", valuesErr)
	}
	secrets, err := resolveSecrets(ctx, text, data, &in)
	if err != nil {
		return nil, fmt.Errorf("unable to render task: %w", err)
	}
	for name, value := range secrets {
		data["Secrets"].(map[string]any)[name] = value
		plan.SecretValues = append(plan.SecretValues, value)
	}
	rendered, err := execute(in.Name, text, data)
	if err != nil {
		return nil, fmt.Errorf("unable to render task: %w", err)
	}
	if err := plan.load(rendered, names, &in); err != nil {
		return nil, fmt.Errorf("failed to unmarshal task before running: %w", err)
	}
	return plan, nil
}

func (in *Input) data() (map[string]any, error) {
	values, err := loadValues(in.ValuesFile, in.Values)
	if err != nil {
		return nil, err
	}
	return templateData(in.Run, values)
}

// applyAliases cuts out the alias block and replaces aliases in the rest.
func applyAliases(ctx context.Context, text string, data map[string]any, dataErr error, in *Input) (*aliases, string, error) {
	block, rest := cutAliases(text)
	if block != "" {
		if dataErr != nil {
			return nil, "", fmt.Errorf("unable to render alias data: %w", dataErr)
		}
		var err error
		if block, err = execute(in.Name, block, data); err != nil {
			return nil, "", fmt.Errorf("unable to render alias data: %w", err)
		}
	}
	names, err := loadAliases(ctx, block, in)
	if err != nil {
		return nil, "", fmt.Errorf("unable to search/replace aliases in task: %w", err)
	}
	return names, names.replace(rest), nil
}

// load reads the rendered text: YAML, rules, defaults, graph.
func (p *Plan) load(rendered string, names *aliases, in *Input) error {
	doc, err := parseDocument(rendered)
	if err == nil {
		err = doc.check()
	}
	if err != nil {
		return fmt.Errorf("failed to deserialize task and validate: %w", err)
	}
	if err := p.defaults(doc, in); err != nil {
		return err
	}
	if err := p.addSteps(doc, in); err != nil {
		return err
	}
	if names != nil {
		for i := range p.Steps {
			if p.Steps[i].Kind == KindCmd {
				p.Steps[i].Cmd = names.expandImage(p.Steps[i].Cmd)
			}
		}
	}
	for i := range p.Steps {
		p.Steps[i].Cmd = strings.TrimRight(p.Steps[i].Cmd, " \t\r\n")
	}
	return nil
}

// secretless returns data with no secrets, for the first rendering.
func secretless(data map[string]any) map[string]any {
	clone := maps.Clone(data)
	clone["Secrets"] = map[string]any{}
	return clone
}
