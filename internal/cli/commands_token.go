package cli

var (
	tokensTable = &table{columns: columns{{"NAME", "name"}, {"SCOPE MAP", "scopeMap"},
		{"PASSWORD1 EXPIRY", "password1"}, {"PASSWORD2 EXPIRY", "password2"},
		{"STATUS", "status"}, {"PROVISIONING STATE", "provisioningState"}, {"CREATION DATE", "creationDate"}},
		rows: eachRow(addTokenColumns)}
	tokenPasswordsTable = &table{columns: columns{{"USERNAME", "username"},
		{"PASSWORD1", "passwords[?name=='password1'].value | [0]"},
		{"PASSWORD1 EXPIRY", "passwords[?name=='password1'].[expiry || 'Never'][] | [0]"},
		{"PASSWORD2", "passwords[?name=='password2'].value | [0]"},
		{"PASSWORD2 EXPIRY", "passwords[?name=='password2'].[expiry || 'Never'][] | [0]"}}}
	scopeMapsTable = &table{columns: columns{{"NAME", "name"}, {"TYPE", "typePropertiesType"},
		{"CREATION DATE", "creationDate"}, {"DESCRIPTION", "description"}}}
)

// tokenCommands are those of repository-scoped tokens and their scope maps.
func tokenCommands() []command {
	named := []flag{registryFlag, nameFlag, groupFlag}
	inRegistry := []flag{registryFlag, groupFlag}
	description := flag{name: "description", help: "what it is for"}
	repositories := flag{name: "repository", kind: groups, help: "a repository and what may be done with it: REPOSITORY content/read ..."}
	gateways := flag{name: "gateway", kind: groups, help: "a gateway and what may be done with it"}
	scopeMap := flag{name: "scope-map", help: "name of the scope map"}
	expiry := []flag{{name: "expiration", help: "when the passwords expire: 2030-12-31T12:59:59Z"}, {name: "expiration-in-days", help: "for how many days the passwords count", also: "--days"}}
	which := []flag{{name: "password1", kind: toggle, help: "the first password"}, {name: "password2", kind: toggle, help: "the second password"}}
	status := flag{name: "status", values: "enabled disabled"}
	return []command{
		{path: "acr scope-map create", short: "Create a scope map", run: createScopeMap, table: scopeMapsTable, flags: with(named, description, repositories, gateways)},
		{path: "acr scope-map show", short: "Show a scope map", run: showScopeMap, table: scopeMapsTable, flags: named},
		{path: "acr scope-map list", short: "List scope maps", run: listScopeMaps, table: scopeMapsTable, flags: inRegistry},
		{path: "acr scope-map update", short: "Change what a scope map permits", run: updateScopeMap, table: scopeMapsTable, flags: with(named, description,
			flag{name: "add-repository", kind: groups, help: "what is permitted too: REPOSITORY content/read ...", also: "--add"}, flag{name: "remove-repository", kind: groups, help: "what is permitted no longer", also: "--remove"},
			flag{name: "add-gateway", kind: groups, help: "what is permitted too on a gateway"}, flag{name: "remove-gateway", kind: groups, help: "what is permitted no longer on a gateway"})},
		{path: "acr scope-map delete", short: "Delete a scope map", run: deleteScopeMap, table: nothing, flags: with(named, yesFlag)},

		{path: "acr token create", short: "Create a repository-scoped token", run: createToken, table: tokensTable, flags: with(named, with(expiry, scopeMap, repositories, gateways, status,
			flag{name: "no-passwords", kind: yesno, help: "make no passwords"})...)},
		{path: "acr token show", short: "Show a token", run: showToken, table: tokensTable, flags: named},
		{path: "acr token list", short: "List tokens", run: listTokens, table: tokensTable, flags: inRegistry},
		{path: "acr token update", short: "Change the scope map or the status of a token", run: updateToken, table: tokensTable, flags: with(named, scopeMap, status)},
		{path: "acr token delete", short: "Delete a token", run: deleteToken, table: nothing, flags: with(named, yesFlag)},
		{path: "acr token credential generate", short: "Make passwords of a token anew and show them", run: generateTokenCredential, table: tokenPasswordsTable, flags: with(named, with(expiry, which...)...)},
		{path: "acr token credential delete", short: "Delete passwords of a token", run: deleteTokenCredential, table: tokensTable, flags: with(named, which...)},
	}
}
