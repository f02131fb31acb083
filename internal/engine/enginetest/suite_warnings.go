package enginetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/engine"
)

// What BuildKit's checks find stands at the end of BuildKit's output, and nowhere in that of
// the classic builder, unless the Dockerfile makes it a reason to fail.
func (s *suite) testBuildWarnings() {
	r := s.open(nil)
	r.file("left-out", "x\n")
	r.file(".dockerignore", "left-out\n")
	from := "FROM " + s.Base + " as one\n"
	many := from + "ENV A b\nENV C d\nFROM one as two\nENV E=$X${X}\nMAINTAINER me\nCMD echo x\n"
	found := func(number string, warnings ...string) string {
		return "\n " + number + " found (use docker --debug to expand):\n - " + strings.Join(warnings, "\n - ") + "\n"
	}
	casing := func(line int) string {
		return fmt.Sprintf("FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line %d)", line)
	}
	json := func(line int) string {
		return fmt.Sprintf("JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (line %d)", line)
	}
	legacy := func(line int) string {
		return fmt.Sprintf(`LegacyKeyValueFormat: "ENV key=value" should be used instead of legacy "ENV key value" format (line %d)`, line)
	}
	const violation = "lint violation found for rules: FromAsCasing\n"
	plain := func(b *engine.Build) { b.BuildKit = true }
	checked := func(options string) func(*engine.Build) {
		return func(b *engine.Build) {
			b.BuildKit, b.Args = true, map[string]string{"BUILDKIT_DOCKERFILE_CHECK": options}
		}
	}
	for name, test := range map[string]struct {
		dockerfile string
		with       func(*engine.Build)
		fails      bool
		end        string // of the output; empty if it has no warnings
	}{
		"none": {"FROM scratch\nCOPY Dockerfile /\n", plain, false, ""},
		"one":  {from + "RUN true\n", plain, false, "\n" + found("1 warning", casing(1))},
		"many": {many, plain, false, "\n" + found("7 warnings", casing(1), legacy(2), legacy(3), casing(4),
			"UndefinedVar: Usage of undefined variable '$X' (did you mean $A?) (line 5)",
			"MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 6)", json(7))},
		"ignored": {"FROM scratch\nCOPY left-out /\n", plain, true,
			found("1 warning", `CopyIgnoredFile: Attempting to Copy file "left-out" that is excluded by .dockerignore (line 2)`) +
				"ERROR: COPY failed: file not found in build context or excluded by .dockerignore: stat left-out: file does not exist\n"},
		"skipped":            {"# check=skip=FromAsCasing\n" + from + "CMD x\n", plain, false, found("1 warning", json(3))},
		"skipped by option":  {many, checked("skip=FromAsCasing,LegacyKeyValueFormat,UndefinedVar,MaintainerDeprecated"), false, found("1 warning", json(7))},
		"skipped altogether": {"# check=skip=all\n" + many, plain, false, ""},
		"through syntax":     {"# syntax=docker/dockerfile:1\n" + from, plain, false, found("1 warning", casing(2))},
		"of a failure":       {from + "RUN exit 4\n", plain, true, found("1 warning", casing(1)) + "ERROR: The command '/bin/sh -c exit 4' returned a non-zero code: 4\n"},
		"errors":             {"# check=error=true\n" + from, plain, true, found("1 warning", casing(2)) + "ERROR: " + violation},
		"errors by option":   {from, checked("error=true"), true, found("1 warning", casing(1)) + "ERROR: " + violation},
		"classic":            {many, nil, false, ""},
		"classic errors":     {"# check=error=true\n" + from, nil, true, found("1 warning", casing(2)) + violation},
	} {
		s.Run(name, func(t *testing.T) {
			result, out := r.build(test.dockerfile, test.with)
			if result.OK == test.fails || !strings.HasSuffix(out, test.end) {
				t.Errorf("succeeds %v, prints\n%s\nwant the end\n%s", result.OK, out, test.end)
			}
			if said := strings.Contains(strings.ToLower(out), "warn"); said != (test.end != "") {
				t.Errorf("warns %v:\n%s", said, out)
			}
		})
	}
}
