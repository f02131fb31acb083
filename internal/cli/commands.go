package cli

// Flags that many commands have.
var (
	groupFlag        = flag{name: "resource-group", short: "g", help: "resource group"}
	groupRequired    = flag{name: "resource-group", short: "g", required: true, help: "resource group"}
	nameFlag         = flag{name: "name", short: "n", required: true, help: "name"}
	locationFlag     = flag{name: "location", short: "l", help: "location (default that of the group)"}
	registryFlag     = flag{name: "registry", short: "r", required: true, help: "name of the registry"}
	runFlag          = flag{name: "run-id", required: true, help: "ID of the run"}
	yesFlag          = flag{name: "yes", short: "y", kind: toggle, help: "do not ask"}
	noWaitFlag       = flag{name: "no-wait", kind: toggle, help: "do not wait for the end"}
	noLogsFlag       = flag{name: "no-logs", kind: toggle, help: "wait without showing the log"}
	setFlag          = flag{name: "set", kind: list, help: "values: NAME=VALUE"}
	setSecretFlag    = flag{name: "set-secret", kind: list, help: "secret values: NAME=VALUE"}
	argFlag          = flag{name: "arg", kind: list, help: "build arguments: NAME=VALUE"}
	secretArgFlag    = flag{name: "secret-arg", kind: list, help: "secret build arguments: NAME=VALUE"}
	identityFlag     = flag{name: "assign-identity", kind: optional, help: "identities: none for the task's own, or resource IDs and [system]"}
	loginServerFlag  = flag{name: "login-server", required: true, help: "login server of the other registry"}
	usernameFlag     = flag{name: "username", short: "u", help: "user name"}
	passwordFlag     = flag{name: "password", short: "p", help: "password"}
	useIdentityFlag  = flag{name: "use-identity", help: "client ID of an identity of the task, or [system]"}
	repositoryFlag   = flag{name: "repository", required: true, help: "repository"}
	timeoutFlag      = flag{name: "timeout", help: "timeout of a run in seconds"}
	platformFlag     = flag{name: "platform", help: "os/architecture", fallback: "linux"}
	scheduleFlags    = []flag{setFlag, setSecretFlag, argFlag, secretArgFlag, noWaitFlag, noLogsFlag}
	registriesTable  = columns{{"NAME", "name"}, {"RESOURCE GROUP", "resourceGroup"}, {"LOCATION", "location"}, {"SKU", "sku.name"}, {"LOGIN SERVER", "loginServer"}, {"CREATION DATE", "creationDate"}, {"ADMIN ENABLED", "adminUserEnabled"}}
	tasksTable       = columns{{"NAME", "name"}, {"PLATFORM", "platform.os"}, {"STATUS", "status"}, {"SOURCE REPOSITORY", "step.contextPath"}}
	runsTable        = columns{{"RUN ID", "runId"}, {"TASK", "task"}, {"PLATFORM", "platform.os"}, {"STATUS", "status"}, {"TRIGGER", "trigger"}, {"STARTED", "startTime"}, {"DURATION", "duration"}}
	assignmentsTable = columns{{"Principal", "principalName || principalId"}, {"Role", "roleDefinitionName"}, {"Scope", "scope"}}
)

// commands is everything the client can do.
func commands() []command {
	return []command{
		{path: "login", short: "Sign in as a service principal", run: login, offline: true, flags: []flag{{name: "service-principal", kind: toggle, help: "sign in as a service principal (the only way yet)"},
			{name: "username", short: "u", required: true, help: "client ID"}, {name: "password", short: "p", required: true, help: "secret"}, {name: "tenant", short: "t", help: "tenant"}}},
		{path: "logout", short: "Forget the last login", run: logout, offline: true},
		{path: "account show", short: "Show the subscription", run: showAccount},
		{path: "account get-access-token", short: "Print a token", run: accessToken, flags: []flag{{name: "resource", help: "audience of the token"}}},

		{path: "group create", short: "Create a resource group", run: createGroup, flags: []flag{{name: "name", short: "n", required: true, help: "name"}, {name: "location", short: "l", required: true, help: "location"}}},
		{path: "group show", short: "Show a resource group", run: showGroup, flags: []flag{nameFlag}},
		{path: "group list", short: "List resource groups", run: listGroups},
		{path: "group exists", short: "Say whether a resource group exists", run: groupExists, flags: []flag{nameFlag}},
		{path: "group delete", short: "Delete a resource group and everything in it", run: deleteGroup, flags: []flag{nameFlag, yesFlag, noWaitFlag}},

		{path: "identity create", short: "Create a user-assigned identity", run: createIdentity, flags: []flag{groupRequired, nameFlag, locationFlag}},
		{path: "identity show", short: "Show a user-assigned identity", run: showIdentity, flags: []flag{groupRequired, nameFlag}},
		{path: "identity list", short: "List user-assigned identities", run: listIdentities, flags: []flag{groupFlag}},
		{path: "identity delete", short: "Delete a user-assigned identity", run: deleteIdentity, flags: []flag{groupRequired, nameFlag}},

		{path: "role assignment create", short: "Give a role to a principal", run: createAssignment, flags: []flag{
			{name: "role", required: true, help: "name or ID of the role"}, {name: "scope", required: true, help: "where it counts"}, {name: "assignee", help: "client ID, principal ID or name"},
			{name: "assignee-object-id", help: "principal ID"}, {name: "assignee-principal-type", help: "type of the principal"}}},
		{path: "role assignment list", short: "List role assignments", run: listAssignments, table: assignmentsTable, flags: []flag{
			{name: "scope", help: "where they count"}, {name: "assignee", help: "client ID, principal ID or name"}, {name: "all", kind: toggle, help: "everywhere below, too"}}},
		{path: "role assignment delete", short: "Take a role from a principal", run: deleteAssignments, flags: []flag{
			{name: "role", help: "name or ID of the role"}, {name: "scope", help: "where it counts"}, {name: "assignee", help: "client ID, principal ID or name"}, {name: "ids", kind: several, help: "IDs of assignments"}}},
		{path: "role definition list", short: "List roles", run: listRoles, flags: []flag{{name: "name", short: "n", help: "name of the role"}}},

		{path: "acr create", short: "Create a registry", run: createRegistry, table: registriesTable, flags: []flag{groupRequired, nameFlag, locationFlag, {name: "sku", required: true, help: "Basic, Standard or Premium"}}},
		{path: "acr show", short: "Show a registry", run: showRegistry, table: registriesTable, flags: []flag{nameFlag, groupFlag}},
		{path: "acr list", short: "List registries", run: listRegistries, table: registriesTable, flags: []flag{groupFlag}},
		{path: "acr delete", short: "Delete a registry and everything in it", run: deleteRegistry, flags: []flag{nameFlag, groupFlag, yesFlag}},
		{path: "acr check-name", short: "Say whether a name is free", run: checkName, flags: []flag{nameFlag}},
		{path: "acr login", short: "Print a token for a registry", run: registryLogin, flags: []flag{nameFlag, {name: "expose-token", short: "t", kind: toggle, help: "print the token"}}},
		{path: "acr import", short: "Import an image", run: importImage, flags: []flag{nameFlag, groupFlag, {name: "source", required: true, help: "LOGINSERVER/repository:tag, or repository:tag with --registry"},
			{name: "image", short: "t", kind: list, help: "repository:tag"}, {name: "repository", kind: list, help: "repositories that get the image without a tag"},
			{name: "registry", short: "r", help: "source registry: name or resource ID"}, usernameFlag, passwordFlag, {name: "force", kind: toggle, help: "replace tags that exist"}, noWaitFlag}},
		{path: "acr build", short: "Build a Dockerfile and push the image", args: "SOURCE_LOCATION", run: buildImage, flags: []flag{registryFlag, groupFlag, {name: "image", short: "t", kind: list, help: "repository:tag"},
			{name: "file", short: "f", help: "Dockerfile"}, {name: "build-arg", kind: list, help: "build arguments: NAME=VALUE"}, {name: "secret-build-arg", kind: list, help: "secret build arguments: NAME=VALUE"},
			{name: "no-push", kind: toggle, help: "do not push"}, {name: "no-cache", kind: toggle, help: "build without the cache"}, {name: "target", help: "stage of the Dockerfile"}, timeoutFlag, platformFlag, noWaitFlag, noLogsFlag}},
		{path: "acr run", short: "Run a task file or a command once", args: "SOURCE_LOCATION", run: runOnce, flags: append([]flag{registryFlag, groupFlag, {name: "file", short: "f", help: "task file"},
			{name: "cmd", help: "command"}, timeoutFlag, platformFlag}, scheduleFlags...)},
		{path: "acr repository list", short: "List repositories", run: listRepositories, flags: []flag{nameFlag, groupFlag}},
		{path: "acr repository show", short: "Show a repository or an image", run: showRepository, flags: []flag{nameFlag, groupFlag, {name: "repository", help: "repository"}, {name: "image", short: "t", help: "repository:tag or repository@digest"}}},
		{path: "acr repository show-tags", short: "List tags", run: showTags, flags: []flag{nameFlag, groupFlag, repositoryFlag, {name: "orderby", help: "time_asc or time_desc"}, {name: "top", help: "at most so many"}, {name: "detail", kind: toggle, help: "everything about each tag"}}},
		{path: "acr repository delete", short: "Delete a repository or an image", run: deleteRepository, flags: []flag{nameFlag, groupFlag, {name: "repository", help: "repository"}, {name: "image", short: "t", help: "repository:tag or repository@digest"}, yesFlag}},
		{path: "acr repository untag", short: "Delete a tag", run: untag, flags: []flag{nameFlag, groupFlag, {name: "image", short: "t", required: true, help: "repository:tag"}}},

		{path: "acr task create", short: "Create a task", run: createTask, table: tasksTable, flags: []flag{registryFlag, groupFlag, nameFlag, {name: "context", short: "c", help: "source: a git URL, or /dev/null"},
			{name: "file", short: "f", help: "task file or Dockerfile"}, {name: "cmd", help: "command"}, identityFlag, {name: "image", short: "t", kind: list, help: "images of a Dockerfile's build"},
			setFlag, setSecretFlag, argFlag, secretArgFlag, timeoutFlag, platformFlag, {name: "cpu", help: "CPUs of an agent", fallback: "2"}, {name: "status", help: "Enabled or Disabled", fallback: "Enabled"},
			{name: "target", help: "stage of a Dockerfile"}, {name: "no-cache", kind: toggle, help: "build without the cache"}, {name: "no-push", kind: toggle, help: "do not push"},
			{name: "git-access-token", help: "token for the source"}, {name: "auth-mode", help: "Default or None"},
			{name: "base-image-trigger-enabled", help: "true or false", fallback: "true"}, {name: "base-image-trigger-type", help: "All or Runtime", fallback: "Runtime"},
			{name: "commit-trigger-enabled", help: "false (triggers come later)", fallback: "false"}, {name: "pull-request-trigger-enabled", help: "false (triggers come later)", fallback: "false"}}},
		{path: "acr task show", short: "Show a task", run: showTask, table: tasksTable, flags: []flag{registryFlag, groupFlag, nameFlag, {name: "with-secure-properties", kind: toggle, help: "with its secrets"}}},
		{path: "acr task list", short: "List tasks", run: listTasks, table: tasksTable, flags: []flag{registryFlag, groupFlag}},
		{path: "acr task delete", short: "Delete a task", run: deleteTask, flags: []flag{registryFlag, groupFlag, nameFlag, yesFlag}},
		{path: "acr task run", short: "Run a task and show its log", run: runTask, flags: append([]flag{registryFlag, groupFlag, nameFlag, {name: "context", short: "c", help: "source, instead of the task's"},
			{name: "file", short: "f", help: "file in the source, instead of the task's"}, {name: "target", help: "stage of a Dockerfile"}}, scheduleFlags...)},
		{path: "acr task list-runs", short: "List runs, newest first", run: listRuns, table: runsTable, flags: []flag{registryFlag, groupFlag, {name: "name", short: "n", help: "task"}, {name: "run-status", help: "status"}, {name: "top", help: "at most so many"}}},
		{path: "acr task show-run", short: "Show a run", run: showRun, table: runsTable, flags: []flag{registryFlag, groupFlag, runFlag}},
		{path: "acr task cancel-run", short: "Cancel a run", run: cancelRun, flags: []flag{registryFlag, groupFlag, runFlag}},
		{path: "acr task logs", short: "Show the log of a run", run: showLogs, flags: []flag{registryFlag, groupFlag, {name: "run-id", help: "ID of the run (default the newest)"}, {name: "name", short: "n", help: "task whose newest run is meant"}}},
		{path: "acr task credential add", short: "Let a task log in to another registry", run: addCredential, flags: []flag{registryFlag, groupFlag, nameFlag, loginServerFlag, usernameFlag, passwordFlag, useIdentityFlag}},
		{path: "acr task credential update", short: "Change how a task logs in to another registry", run: updateCredential, flags: []flag{registryFlag, groupFlag, nameFlag, loginServerFlag, usernameFlag, passwordFlag, useIdentityFlag}},
		{path: "acr task credential remove", short: "Take a task's login to another registry", run: removeCredential, flags: []flag{registryFlag, groupFlag, nameFlag, loginServerFlag}},
		{path: "acr task credential list", short: "List the registries a task logs in to", run: listCredentials, flags: []flag{registryFlag, groupFlag, nameFlag}},
	}
}
