package engine

import (
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"github.com/acrux/acrux/internal/tasks/taskfile"
)

// Azure's runner gives a step's command line to a shell on the agent. There is no
// such shell here, so a line must be one simple command. Quoting and parameters
// work as in a shell whose environment is all but empty; what would run or write
// something on the agent is a failure that names the operator.

// shellWords splits a command line into the words a POSIX shell would make of it.
func shellWords(line string) ([]string, error) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(line), "")
	if err != nil {
		return nil, Failure("the command line is not valid for a shell: " + err.Error())
	}
	call, err := simpleCommand(file)
	if err != nil {
		return nil, err
	}
	environment := expand.ListEnviron("HOME=" + taskfile.HomeDir)
	words, err := expand.Fields(&expand.Config{Env: environment}, call.Args...)
	if err != nil {
		return nil, Failure("the command line cannot be expanded: " + err.Error())
	}
	return words, nil
}

// simpleCommand returns the one command of a line that has nothing but that.
func simpleCommand(file *syntax.File) (*syntax.CallExpr, error) {
	if len(file.Stmts) != 1 {
		return nil, unsupportedOperator("a second command, after ; or a line break,")
	}
	statement := file.Stmts[0]
	switch {
	case statement.Background:
		return nil, unsupportedOperator("&")
	case len(statement.Redirs) > 0:
		return nil, unsupportedOperator(statement.Redirs[0].Op.String())
	}
	call, ok := statement.Cmd.(*syntax.CallExpr)
	if binary, isBinary := statement.Cmd.(*syntax.BinaryCmd); isBinary {
		return nil, unsupportedOperator(binary.Op.String())
	}
	if !ok || statement.Negated || len(call.Args) == 0 {
		return nil, unsupportedOperator("a compound command")
	}
	return call, runsNothing(call)
}

// runsNothing refuses words whose value some other command would have to make.
func runsNothing(call *syntax.CallExpr) (err error) {
	syntax.Walk(call, func(node syntax.Node) bool {
		switch node.(type) {
		case *syntax.CmdSubst:
			err = unsupportedOperator("$(…)")
		case *syntax.ArithmExp:
			err = unsupportedOperator("$((…))")
		case *syntax.ProcSubst:
			err = unsupportedOperator("<(…)")
		}
		return err == nil
	})
	return err
}

func unsupportedOperator(operator string) error {
	return Failure(fmt.Sprintf("%s outside of quotes would act on the agent, not in the container, and is not supported: "+
		"put it in quotes, as in: cmd: bash -c 'a && b'", operator))
}
