package run

import (
	"reflect"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/tasks/task"
)

// given is a member of a request, and whether it says something.
type given struct {
	name string
	is   bool
}

// checkUnused refuses what runs of the request's type would not heed: a request for a run of
// a task has no step of its own, and the others have no task.
func (r Request) checkUnused() error {
	if r.Type != "TaskRunRequest" {
		return refuseGiven(r.Type, []given{{"taskId", r.TaskID != ""},
			{"overrideTaskStepProperties", r.Override != nil && !reflect.ValueOf(*r.Override).IsZero()},
			{"contextPath", r.ContextPath != ""}})
	}
	return refuseGiven(r.Type, append(stepMembers(r.Step), given{"timeout", r.Timeout != 0},
		given{"platform", r.Platform != nil && *r.Platform != task.Platform{}},
		given{"agentConfiguration", r.AgentConfiguration != nil && r.AgentConfiguration.CPU != 0},
		given{"sourceLocation", r.SourceLocation != ""},
		given{"credentials", r.Credentials != nil && !reflect.ValueOf(*r.Credentials).IsZero()}))
}

// stepMembers are those of a step, by the names that they have on the wire.
func stepMembers(s task.Step) []given {
	return []given{{"contextPath", s.ContextPath != ""}, {"contextAccessToken", s.ContextAccessToken != nil},
		{"encodedTaskContent", s.EncodedTaskContent != ""}, {"encodedValuesContent", s.EncodedValues != ""},
		{"taskFilePath", s.TaskFilePath != ""}, {"valuesFilePath", s.ValuesFilePath != ""}, {"values", len(s.Values) > 0},
		{"dockerFilePath", s.DockerFilePath != ""}, {"imageNames", len(s.ImageNames) > 0},
		{"isPushEnabled", s.IsPushEnabled != nil}, {"noCache", s.NoCache}, {"target", s.Target != ""},
		{"arguments", len(s.Arguments) > 0}}
}

// checkUnused refuses what an override changes of a step that does not have it.
func (o *Override) checkUnused(stepType string) error {
	if o == nil {
		return nil
	}
	docker := stepType == "Docker"
	return refuseGiven("task of the type "+stepType, []given{
		{"overrideTaskStepProperties.file", o.File != "" && stepType == "EncodedTask"},
		{"overrideTaskStepProperties.target", o.Target != "" && !docker},
		{"overrideTaskStepProperties.arguments", len(o.Arguments) > 0 && !docker},
		{"overrideTaskStepProperties.values", len(o.Values) > 0 && docker}})
}

func refuseGiven(what string, members []given) error {
	for _, m := range members {
		if m.is {
			return problem.New(problem.Invalid, "InvalidParameterValue", "A %s has no '%s': it would change nothing.", what, m.name).On(m.name)
		}
	}
	return nil
}
