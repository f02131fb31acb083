package cli

import "slices"

// commands is everything the client can do.
func commands() []command {
	return slices.Concat(accountCommands(), resourceCommands(), roleCommands(), directoryCommands(), registryCommands(), tokenCommands(), policyCommands(), imageCommands(), []command{purgeCommand()}, taskCommands(), runCommands())
}

// Flags that many commands have.
var (
	groupFlag         = flag{name: "resource-group", short: "g", help: "resource group"}
	groupRequired     = flag{name: "resource-group", short: "g", required: true, help: "resource group"}
	nameFlag          = flag{name: "name", short: "n", required: true, help: "name"}
	groupName         = flag{name: "name", short: "n", required: true, help: "name", also: "--resource-group -g"}
	locationFlag      = flag{name: "location", short: "l", help: "location (default that of the group)"}
	registryFlag      = flag{name: "registry", short: "r", required: true, help: "name of the registry"}
	runFlag           = flag{name: "run-id", required: true, help: "ID of the run"}
	yesFlag           = flag{name: "yes", short: "y", kind: toggle, help: "do not ask"}
	noWaitFlag        = flag{name: "no-wait", kind: toggle, help: "do not wait for the end"}
	tagsFlag          = flag{name: "tags", kind: several, help: "tags: KEY=VALUE ..."}
	usernameFlag      = flag{name: "username", short: "u", help: "user name"}
	passwordFlag      = flag{name: "password", short: "p", help: "password"}
	identitiesFlag    = flag{name: "identities", kind: several, help: "[system], and IDs or names of user-assigned identities"}
	identitiesNeeded  = flag{name: "identities", kind: several, required: true, help: "[system], and IDs or names of user-assigned identities"}
	resourceFlag      = flag{name: "resource-id", help: "resource, group or subscription", path: true}
	genericFlags      = []flag{{name: "ids", kind: several, help: "IDs of resources"}, groupFlag, {name: "name", short: "n", help: "name"}, {name: "resource-type", help: "NAMESPACE/TYPE, or TYPE with --namespace"}, {name: "namespace", help: "namespace of the type"}, {name: "parent", help: "path of the resource above"}, {name: "api-version", help: "version of the API"}}
	federatedFlags    = []flag{groupRequired, {name: "identity-name", required: true, help: "name of the identity"}, nameFlag}
	federatedContents = []flag{{name: "issuer", required: true, help: "issuer of the tokens"}, {name: "subject", required: true, help: "subject of the tokens"}, {name: "audiences", kind: several, help: "audiences of the tokens"}}
)

// with is a list of flags with more of them.
func with(flags []flag, more ...flag) []flag { return slices.Concat(flags, more) }

func accountCommands() []command {
	return []command{
		{path: "login", short: "Sign in: a user, a service principal, or a managed identity", run: login, table: members, offline: true, flags: []flag{{name: "service-principal", kind: toggle, help: "sign in as a service principal"},
			{name: "username", short: "u", help: "user name, or client ID"}, {name: "password", short: "p", help: "password, secret, or file of a certificate with its key"}, {name: "tenant", short: "t", help: "tenant"},
			{name: "use-device-code", kind: toggle, help: "sign in elsewhere, in a browser"}, {name: "identity", short: "i", kind: toggle, help: "sign in as the managed identity of where this runs"},
			{name: "federated-token", help: "another issuer's token"}, {name: "allow-no-subscriptions", kind: toggle, help: "sign in without any role"},
			{name: "server", help: "HOST:PORT of the server, from another machine"}, {name: "fingerprint", help: "of the server's authority, as acrux admin invite prints it"},
			{name: "invitation", help: "by which you choose your password, once"}}},
		{path: "logout", short: "Forget the last login", run: logout, table: nothing, offline: true},
		{path: "account show", short: "Show the subscription", run: showAccount, table: members},
		{path: "account list", short: "List the subscriptions", run: listAccounts, table: accountsTable, flags: []flag{{name: "all", kind: toggle, help: "of all clouds (there is one)"}}},
		{path: "account set", short: "Choose the subscription", run: setAccount, table: nothing, flags: []flag{{name: "subscription", short: "s", required: true, help: "ID or name", also: "--name -n"}}},
		{path: "account get-access-token", short: "Print a token", run: accessToken, table: accessTokenTable, flags: []flag{{name: "resource", help: "audience of the token"}}},
		{path: "rest", short: "Send a request as it is", run: rest, table: members, flags: []flag{{name: "url", short: "u", required: true, help: "URL, or path on the management host", also: "--uri"}, {name: "method", short: "m", fallback: "get", help: "method"},
			{name: "body", short: "b", help: "body, or @FILE"}, {name: "headers", kind: several, help: "headers: NAME=VALUE ..."}, {name: "url-parameters", kind: several, help: "query: NAME=VALUE ...", also: "--uri-parameters"}, {name: "output-file", help: "file for the answer"}}},
	}
}

func resourceCommands() []command {
	return []command{
		{path: "group create", short: "Create a resource group", run: createGroup, table: groupsTable, flags: []flag{groupName, {name: "location", short: "l", required: true, help: "location"}, tagsFlag}},
		{path: "group show", short: "Show a resource group", run: showGroup, table: groupsTable, flags: []flag{groupName}},
		{path: "group list", short: "List resource groups", run: listGroups, table: groupsTable},
		{path: "group exists", short: "Say whether a resource group exists", run: groupExists, table: members, flags: []flag{groupName}},
		{path: "group update", short: "Change a resource group", run: updateGroup, table: groupsTable, flags: []flag{groupName, tagsFlag}},
		{path: "group delete", short: "Delete a resource group and everything in it", run: deleteGroup, table: nothing, flags: []flag{groupName, yesFlag, noWaitFlag}},

		{path: "resource show", short: "Show a resource of any type", run: showResource, table: resourcesTable, flags: genericFlags},
		{path: "resource list", short: "List resources of all types", run: listResources, table: resourcesTable, flags: []flag{groupFlag, {name: "resource-type", help: "NAMESPACE/TYPE, or TYPE with --namespace"}, {name: "namespace", help: "namespace of the type"},
			{name: "name", short: "n", help: "name"}, {name: "location", short: "l", help: "location"}, {name: "tag", help: "tag: KEY or KEY=VALUE"}}},
		{path: "resource delete", short: "Delete a resource of any type", run: deleteResource, table: nothing, flags: genericFlags},
		{path: "resource tag", short: "Change the tags of a resource", run: tagResource, table: resourcesTable, flags: with(genericFlags, tagsFlag, flag{name: "is-incremental", short: "i", kind: toggle, help: "keep the tags that are there"})},
		{path: "tag create", short: "Replace the tags of a resource", run: createTags, table: tagsTable, flags: []flag{resourceFlag, tagsFlag}},
		{path: "tag update", short: "Change the tags of a resource", run: updateTags, table: tagsTable, flags: []flag{resourceFlag, {name: "operation", required: true, values: "Merge Replace Delete"}, tagsFlag}},
		{path: "tag list", short: "List the tags of a resource, or of all", run: listTags, table: tagsTable, flags: []flag{resourceFlag}},
		{path: "tag delete", short: "Delete all tags of a resource", run: deleteTags, table: nothing, flags: []flag{{name: "resource-id", required: true, help: "resource, group or subscription", path: true}, yesFlag}},

		{path: "identity create", short: "Create a user-assigned identity", run: createIdentity, table: members, flags: []flag{groupRequired, nameFlag, locationFlag, tagsFlag}},
		{path: "identity show", short: "Show a user-assigned identity", run: showIdentity, table: members, flags: []flag{groupRequired, nameFlag}},
		{path: "identity list", short: "List user-assigned identities", run: listIdentities, table: members, flags: []flag{groupFlag}},
		{path: "identity delete", short: "Delete a user-assigned identity", run: deleteIdentity, table: nothing, flags: []flag{groupRequired, nameFlag}},
		{path: "identity federated-credential create", short: "Let tokens of another issuer stand for an identity", run: putFederated, table: members, flags: with(federatedFlags, federatedContents...)},
		{path: "identity federated-credential update", short: "Change a federated credential", run: putFederated, table: members, flags: with(federatedFlags, federatedContents...)},
		{path: "identity federated-credential show", short: "Show a federated credential", run: showFederated, table: members, flags: federatedFlags},
		{path: "identity federated-credential list", short: "List the federated credentials of an identity", run: listFederated, table: members, flags: federatedFlags[:2]},
		{path: "identity federated-credential delete", short: "Delete a federated credential", run: deleteFederated, table: nothing, flags: with(federatedFlags, yesFlag)},
	}
}

func roleCommands() []command {
	return []command{
		{path: "role assignment create", short: "Give a role to a principal", run: createAssignment, table: assignmentsTable, flags: []flag{
			{name: "role", required: true, help: "name or ID of the role"}, {name: "scope", required: true, help: "where it counts"}, {name: "assignee", help: "client ID, principal ID or name"},
			{name: "assignee-object-id", help: "principal ID"}, {name: "assignee-principal-type", help: "type of the principal"}}},
		{path: "role assignment list", short: "List role assignments", run: listAssignments, table: assignmentsTable, flags: []flag{
			{name: "scope", help: "where they count"}, {name: "assignee", help: "client ID, principal ID or name"}, {name: "role", help: "name or ID of the role"},
			{name: "all", kind: toggle, help: "everywhere below, too"}, {name: "include-inherited", kind: toggle, help: "those from above, too"}}},
		{path: "role assignment delete", short: "Take a role from a principal", run: deleteAssignments, table: nothing, flags: []flag{
			{name: "role", help: "name or ID of the role"}, {name: "scope", help: "where it counts"}, {name: "assignee", help: "client ID, principal ID or name"}, {name: "ids", kind: several, help: "IDs of assignments"}}},
		{path: "role definition list", short: "List roles", run: listRoles, table: rolesTable, flags: []flag{{name: "name", short: "n", help: "name of the role"}}},
	}
}
