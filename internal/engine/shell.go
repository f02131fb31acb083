package engine

import (
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// Azure's runner gives a step's command line to a shell on the agent. One simple command
// needs no shell: its quotes and parameters are read here as a shell would whose
// environment is all but empty. What acts on the agent is an operatorError.

// operatorError says that a line has an operator outside of quotes. It is a Failure.
type operatorError struct{ operator string }

func (e *operatorError) Error() string { return e.Unwrap().Error() }

func (e *operatorError) Unwrap() error {
	return Failure(fmt.Sprintf("%s outside of quotes would act on the agent, and is not supported in the line of a build", e.operator))
}

// shellWords splits a command line into the words a POSIX shell would make of it.
func shellWords(line string) ([]string, error) {
	file, err := parseShell(line)
	if err != nil {
		return nil, err
	}
	call, err := simpleCommand(file)
	if err != nil {
		return nil, err
	}
	environment := expand.ListEnviron("HOME=" + taskfile.HomeDir)
	for _, word := range call.Args {
		keepBraces(word)
	}
	words, err := expand.Fields(&expand.Config{Env: environment}, call.Args...)
	if err != nil {
		return nil, Failure("the command line cannot be expanded: " + err.Error())
	}
	return words, nil
}

// keepBraces quotes what bash would expand and a POSIX shell does not: {a,b}.
func keepBraces(word *syntax.Word) {
	var parts []syntax.WordPart
	for _, part := range word.Parts {
		literal, ok := part.(*syntax.Lit)
		if !ok {
			parts = append(parts, part)
			continue
		}
		for i, text := range strings.Split(literal.Value, "{") {
			if i > 0 {
				parts = append(parts, &syntax.SglQuoted{Value: "{"})
			}
			if text != "" {
				parts = append(parts, &syntax.Lit{Value: text})
			}
		}
	}
	word.Parts = parts
}

func parseShell(line string) (*syntax.File, error) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(line), "")
	if err != nil {
		return nil, Failure("the command line is not valid for a shell: " + err.Error())
	}
	return file, nil
}

// firstCommand is the first command of a line with operators, in front of all of them. It
// is empty if there is none.
func firstCommand(line string) string {
	file, err := parseShell(line)
	if err != nil {
		return ""
	}
	var text strings.Builder
	syntax.Walk(file, func(node syntax.Node) bool {
		call, ok := node.(*syntax.CallExpr)
		if ok && text.Len() == 0 {
			err = syntax.NewPrinter().Print(&text, call)
		}
		return text.Len() == 0 && err == nil
	})
	return text.String()
}

// simpleCommand returns the one command of a line that has nothing but that.
func simpleCommand(file *syntax.File) (*syntax.CallExpr, error) {
	if len(file.Stmts) != 1 {
		return nil, &operatorError{"a second command, after ; or a line break,"}
	}
	statement := file.Stmts[0]
	switch {
	case statement.Background:
		return nil, &operatorError{"&"}
	case len(statement.Redirs) > 0:
		return nil, &operatorError{statement.Redirs[0].Op.String()}
	}
	call, ok := statement.Cmd.(*syntax.CallExpr)
	if binary, isBinary := statement.Cmd.(*syntax.BinaryCmd); isBinary {
		return nil, &operatorError{binary.Op.String()}
	}
	if !ok || statement.Negated || len(call.Args) == 0 {
		return nil, &operatorError{"a compound command"}
	}
	return call, runsNothing(call)
}

// runsNothing finds words whose value some other command has to make.
func runsNothing(call *syntax.CallExpr) (err error) {
	syntax.Walk(call, func(node syntax.Node) bool {
		switch node.(type) {
		case *syntax.CmdSubst:
			err = &operatorError{"$(…)"}
		case *syntax.ArithmExp:
			err = &operatorError{"$((…))"}
		case *syntax.ProcSubst:
			err = &operatorError{"<(…)"}
		}
		return err == nil
	})
	return err
}
