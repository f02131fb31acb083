package cli

import "slices"

// What starts runs of a task, and what has started a run.
const (
	triggersPath = "join(', ', [trigger.baseImageTrigger.status == 'Enabled' && 'BASE_IMAGE', trigger.sourceTriggers[0].status == 'Enabled' && 'SOURCE', (trigger.timerTriggers || `[]`)[?status == 'Enabled'] && 'TIMER'][?@])"
	triggerPath  = "sourceTrigger.eventType || timerTrigger && 'Timer' || imageUpdateTrigger && 'Image Update' || 'Manual'"
)

var (
	tasksTable = &table{columns: columns{{"NAME", "name"}, {"PLATFORM", "platform.os"}, {"STATUS", "status"},
		{"SOURCE REPOSITORY", "step.contextPath"}, {"TRIGGERS", triggersPath}}}
	taskTable = &table{columns: append(slices.Clip(tasksTable.columns), columns{{"NEXT", "next"}}...)}
	runsTable = &table{columns: columns{{"RUN ID", "runId"}, {"TASK", "task"}, {"PLATFORM", "platform.os"},
		{"STATUS", "status"},
		{"TRIGGER", triggerPath}, {"STARTED", "startTime"}, {"DURATION", "duration"}, {"ERROR", "error"}},
		rows: eachRow(addRunColumns)}
	poolsTable = &table{columns: columns{{"NAME", "name"}, {"COUNT", "count"}, {"TIER", "tier"},
		{"STATE", "provisioningState"}, {"VNET", "virtualNetworkSubnetResourceId"}, {"OS", "os"}}}
	taskRunsTable = &table{columns: columns{{"NAME", "name"}, {"RUN ID", "runResult.runId"},
		{"TASK", "runResult.task"}, {"PLATFORM", "runResult.platform.os"},
		{"STATUS", "runResult.status"}, {"STARTED", "runResult.startTime"}, {"DURATION", "runResult.duration"}},
		rows: eachRow(func(row document) {
			if run, ok := row["runResult"].(document); ok {
				addRunColumns(run)
			}
		})}

	setFlag         = flag{name: "set", kind: list, help: "values: NAME[=VALUE]"}
	setSecretFlag   = flag{name: "set-secret", kind: list, help: "secret values: NAME[=VALUE]"}
	argFlag         = flag{name: "arg", kind: list, help: "build arguments: NAME[=VALUE]"}
	secretArgFlag   = flag{name: "secret-arg", kind: list, help: "secret build arguments: NAME[=VALUE]"}
	identityFlag    = flag{name: "assign-identity", kind: optional, help: "identities: none for the task's own, or resource IDs and [system]"}
	loginServerFlag = flag{name: "login-server", required: true, help: "login server of the other registry"}
	useIdentityFlag = flag{name: "use-identity", help: "client ID of an identity of the task, or [system]"}
	timeoutFlag     = flag{name: "timeout", help: "timeout of a run in seconds"}
	platformFlag    = flag{name: "platform", help: "OS/ARCHITECTURE[/VARIANT]: of the image a Dockerfile makes, or of the agent for a task file", fallback: "linux"}
	poolFlag        = flag{name: "agent-pool", help: "agent pool"}
	templateFlag    = flag{name: "log-template", help: "repository and tag of the log as an artifact"}
	authModeFlag    = flag{name: "auth-mode", values: "Default None"}
	valuesFlag      = flag{name: "values", help: "file with values"}
	ofTask          = []flag{registryFlag, groupFlag, nameFlag}
	ofRegistry      = []flag{registryFlag, groupFlag}
	showingFlags    = []flag{noWaitFlag, {name: "no-logs", kind: toggle, help: "wait without showing the log"}, {name: "no-format", kind: toggle, help: "show the log as it is (it always is)"}}
	valueFlags      = []flag{setFlag, setSecretFlag, argFlag, secretArgFlag}

	// What both a new and a changed task are described by.
	taskFlags = with(valueFlags, registryFlag, groupFlag, nameFlag, flag{name: "context", short: "c", help: "source: a git URL, or /dev/null"}, flag{name: "file", short: "f", help: "task file or Dockerfile"},
		flag{name: "cmd", help: "command"}, flag{name: "image", short: "t", kind: list, help: "images of a Dockerfile's build"}, timeoutFlag, poolFlag, templateFlag, authModeFlag, valuesFlag,
		flag{name: "target", help: "stage of a Dockerfile"}, flag{name: "no-cache", kind: yesno, help: "build without the cache"}, flag{name: "no-push", kind: yesno, help: "do not push"},
		flag{name: "git-access-token", help: "token for the source"},
		flag{name: "commit-trigger-enabled", kind: yesno, help: "run for pushes to the source's branch (for a new task with a token: true)"},
		flag{name: "pull-request-trigger-enabled", kind: yesno, help: "run for pull requests to the source's branch"})
)

func taskCommands() []command {
	credential := with(ofTask, loginServerFlag, usernameFlag, passwordFlag, useIdentityFlag)
	timer := flag{name: "timer-name", required: true, help: "name of the timer"}
	enabled := flag{name: "enabled", kind: yesno, fallback: "true", help: "whether it counts"}
	return []command{
		{path: "acr task create", short: "Create a task", run: createTask, table: tasksTable, flags: with(taskFlags, identityFlag, platformFlag,
			flag{name: "cpu", help: "CPUs of an agent", fallback: "2"}, flag{name: "status", values: "Enabled Disabled", fallback: "Enabled"}, flag{name: "is-system-task", kind: yesno, help: "whether it is a system task"},
			flag{name: "schedule", kind: several, help: "timers, UTC: 'EXPRESSION' or 'NAME:EXPRESSION' ..."},
			flag{name: "base-image-trigger-enabled", kind: yesno, help: "true or false", fallback: "true"}, flag{name: "base-image-trigger-type", values: "All Runtime", fallback: "Runtime"},
			flag{name: "base-image-trigger-name", help: "name of the trigger", fallback: "defaultBaseimageTriggerName"})},
		{path: "acr task show", short: "Show a task", run: showTask, table: taskTable, flags: with(ofTask, flag{name: "with-secure-properties", kind: toggle, help: "with its secrets"})},
		{path: "acr task list", short: "List tasks", run: listTasks, table: tasksTable, flags: ofRegistry},
		{path: "acr task update", short: "Change a task", run: updateTask, table: tasksTable, flags: with(taskFlags, flag{name: "platform", help: "OS/ARCHITECTURE[/VARIANT]"},
			flag{name: "cpu", help: "CPUs of an agent"}, flag{name: "status", values: "Enabled Disabled"},
			flag{name: "base-image-trigger-enabled", kind: yesno, help: "true or false"}, flag{name: "base-image-trigger-type", values: "All Runtime"},
			flag{name: "update-trigger-endpoint", help: "URL that is told of new base images"}, flag{name: "update-trigger-payload-type", values: "Default Token"})},
		{path: "acr task delete", short: "Delete a task", run: deleteTask, table: nothing, flags: with(ofTask, yesFlag)},
		{path: "acr task run", short: "Run a task and show its log", run: runTask, table: runsTable, flags: with(showingFlags, with(valueFlags, with(ofTask, poolFlag, templateFlag, flag{name: "context", short: "c", help: "source, instead of the task's"},
			flag{name: "file", short: "f", help: "file in the source, instead of the task's"}, flag{name: "target", help: "stage of a Dockerfile"})...)...)},
		{path: "acr task identity assign", short: "Give identities to a task", run: assignTaskIdentity, table: tasksTable, flags: with(ofTask, identitiesFlag)},
		{path: "acr task identity show", short: "Show the identities of a task", run: showTaskIdentity, table: identitiesTable, flags: ofTask},
		{path: "acr task identity remove", short: "Take identities from a task", run: removeTaskIdentity, table: tasksTable, flags: with(ofTask, identitiesFlag)},
		{path: "acr task trigger-log", short: "List what the triggers of a task saw, and what came of it", run: triggerLog, table: triggerTable, flags: with(ofTask, flag{name: "top", help: "how many at most"})},
		{path: "acr task source-trigger", short: "Show where a git host sends its deliveries for a task, and the secret", run: sourceHooks, table: hooksTable, flags: ofTask},
		{path: "acr task timer add", short: "Add a timer to a task", run: addTimer, table: tasksTable, flags: with(ofTask, timer, flag{name: "schedule", required: true, help: "cron expression, UTC"}, enabled)},
		{path: "acr task timer list", short: "List the timers of a task", run: listTimers, table: timersTable, flags: ofTask},
		{path: "acr task timer update", short: "Change a timer of a task", run: updateTimer, table: tasksTable, flags: with(ofTask, timer, flag{name: "schedule", help: "cron expression, UTC"}, enabled)},
		{path: "acr task timer remove", short: "Remove a timer from a task", run: removeTimer, table: tasksTable, flags: with(ofTask, timer)},
		{path: "acr task credential add", short: "Let a task log in to another registry", run: addCredential, table: loginsTable, flags: credential},
		{path: "acr task credential update", short: "Change how a task logs in to another registry", run: updateCredential, table: loginsTable, flags: credential},
		{path: "acr task credential remove", short: "Take a task's login to another registry", run: removeCredential, table: loginsTable, flags: with(ofTask, loginServerFlag)},
		{path: "acr task credential list", short: "List the registries a task logs in to", run: listCredentials, table: loginsTable, flags: ofTask},
	}
}

func runCommands() []command {
	oneRun := with(ofRegistry, runFlag)
	task := flag{name: "name", short: "n", help: "task"}
	return []command{
		{path: "acr build", short: "Build a Dockerfile and push the image", args: "SOURCE_LOCATION", run: buildImage, table: runsTable, flags: with(showingFlags, registryFlag, groupFlag, flag{name: "image", short: "t", kind: list, help: "repository:tag"},
			flag{name: "file", short: "f", help: "Dockerfile; - for the standard input"}, flag{name: "build-arg", kind: list, help: "build arguments: NAME[=VALUE]"}, flag{name: "secret-build-arg", kind: list, help: "secret build arguments: NAME[=VALUE]"},
			flag{name: "no-push", kind: toggle, help: "do not push"}, flag{name: "no-cache", kind: toggle, help: "build without the cache"}, flag{name: "target", help: "stage of the Dockerfile"}, timeoutFlag, platformFlag, poolFlag, templateFlag, authModeFlag)},
		{path: "acr run", short: "Run a task file or a command once", args: "SOURCE_LOCATION", run: runOnce, table: runsTable, flags: with(showingFlags, registryFlag, groupFlag, flag{name: "file", short: "f", help: "task file; - for the standard input"},
			flag{name: "cmd", help: "command"}, setFlag, setSecretFlag, valuesFlag, timeoutFlag, platformFlag, poolFlag, templateFlag, authModeFlag)},
		{path: "acr task list-runs", short: "List runs, newest first", run: listRuns, table: runsTable, flags: with(ofRegistry, task, imageFlag, flag{name: "run-status", help: "status"}, flag{name: "top", help: "at most so many"})},
		{path: "acr task show-run", short: "Show a run", run: showRun, table: runsTable, flags: oneRun},
		{path: "acr task update-run", short: "Change whether a run is kept for good", run: updateRun, table: runsTable, flags: with(oneRun, flag{name: "no-archive", kind: yesno, help: "whether it is not"})},
		{path: "acr task cancel-run", short: "Cancel a run", run: cancelRun, table: nothing, flags: oneRun},
		{path: "acr task logs", short: "Show the log of a run", run: showLogs, table: nothing, flags: with(ofRegistry, flag{name: "run-id", help: "ID of the run (default the newest)"}, task, imageFlag, flag{name: "no-format", kind: toggle, help: "show the log as it is (it always is)"})},

		{path: "acr taskrun list", short: "List task runs", run: listTaskRuns, table: taskRunsTable, flags: ofRegistry},
		{path: "acr taskrun show", short: "Show a task run", run: showTaskRun, table: taskRunsTable, flags: ofTask},
		{path: "acr taskrun logs", short: "Show the log of a task run's run", run: showTaskRunLogs, table: nothing, flags: with(ofTask, flag{name: "no-format", kind: toggle, help: "show the log as it is (it always is)"})},
		{path: "acr taskrun delete", short: "Delete a task run", run: deleteTaskRun, table: nothing, flags: with(ofTask, yesFlag)},
		{path: "acr agentpool create", short: "Create an agent pool", run: createPool, table: poolsTable, flags: with(ofTask, flag{name: "count", short: "c", help: "number of agents", fallback: "1"}, flag{name: "tier", values: "S1 S2 S3 I6", fallback: "S1"}, flag{name: "subnet-id", help: "virtual network"}, noWaitFlag)},
		{path: "acr agentpool list", short: "List agent pools", run: listPools, table: poolsTable, flags: ofRegistry},
		{path: "acr agentpool show", short: "Show an agent pool", run: showPool, table: poolsTable, flags: with(ofTask, flag{name: "queue-count", kind: toggle, help: "only how many runs wait"})},
		{path: "acr agentpool update", short: "Change an agent pool", run: updatePool, table: poolsTable, flags: with(ofTask, flag{name: "count", short: "c", help: "number of agents"}, noWaitFlag)},
		{path: "acr agentpool delete", short: "Delete an agent pool", run: deletePool, table: nothing, flags: with(ofTask, yesFlag, noWaitFlag)},
	}
}
