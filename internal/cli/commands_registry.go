package cli

var (
	registriesTable  = &table{columns: columns{{"NAME", "name"}, {"RESOURCE GROUP", "resourceGroup"}, {"LOCATION", "location"}, {"SKU", "sku.name"}, {"LOGIN SERVER", "loginServer"}, {"CREATION DATE", "creationDate"}, {"ADMIN ENABLED", "adminUserEnabled"}}}
	usageTable       = &table{columns: columns{{"NAME", "name"}, {"LIMIT", "limit"}, {"CURRENT VALUE", "currentValue"}, {"UNIT", "unit"}}}
	credentialsTable = &table{columns: columns{{"USERNAME", "username"}, {"PASSWORD", "passwords[0].value"}, {"PASSWORD2", "passwords[1].value"}}}

	registrySwitches = []flag{{name: "admin-enabled", kind: yesno, help: "whether the admin user may sign in"}, {name: "anonymous-pull-enabled", kind: yesno, help: "whether everyone may pull"},
		{name: "public-network-enabled", kind: yesno, help: "whether the public network is open"}, {name: "allow-exports", kind: yesno, help: "whether images may leave"},
		{name: "allow-trusted-services", kind: yesno, help: "whether trusted services pass network rules"}, {name: "data-endpoint-enabled", kind: yesno, help: "whether there are dedicated data endpoints"},
		{name: "default-action", help: "what network rules do with others", values: "Allow Deny"}}

	// Who asks a registry, instead of who is signed in; --suffix is what names end in.
	signInFlags = []flag{usernameFlag, passwordFlag}
	// What a command of a registry's host is about.
	hostFlags     = with(signInFlags, nameFlag, groupFlag)
	topFlag       = flag{name: "top", help: "at most so many"}
	orderFlag     = flag{name: "orderby", values: "time_asc time_desc"}
	repositoryOpt = flag{name: "repository", help: "repository"}
	imageFlag     = flag{name: "image", short: "t", help: "repository:tag or repository@digest"}
	lockSwitches  = []flag{{name: "delete-enabled", kind: yesno, help: "whether it may be deleted"}, {name: "write-enabled", kind: yesno, help: "whether it may be changed"},
		{name: "read-enabled", kind: yesno, help: "whether it may be read"}, {name: "list-enabled", kind: yesno, help: "whether it is listed"}}
	manifestFlags = with(signInFlags, flag{name: "registry", short: "r", help: "name of the registry"}, flag{name: "name", short: "n", help: "repository, with :tag or @digest for one artifact", path: true}, groupFlag)
)

func registryCommands() []command {
	return []command{
		{path: "acr create", short: "Create a registry", run: createRegistry, table: registriesTable, flags: with(registrySwitches, groupRequired, nameFlag, locationFlag, tagsFlag,
			flag{name: "sku", required: true, values: "Basic Standard Premium"}, flag{name: "zone-redundancy", values: "Enabled Disabled"})},
		{path: "acr show", short: "Show a registry", run: showRegistry, table: registriesTable, flags: []flag{nameFlag, groupFlag}},
		{path: "acr list", short: "List registries", run: listRegistries, table: registriesTable, flags: []flag{groupFlag}},
		{path: "acr update", short: "Change a registry", run: updateRegistry, table: registriesTable, flags: with(registrySwitches, nameFlag, groupFlag, tagsFlag, flag{name: "sku", values: "Basic Standard Premium"})},
		{path: "acr delete", short: "Delete a registry and everything in it", run: deleteRegistry, table: nothing, flags: []flag{nameFlag, groupFlag, yesFlag}},
		{path: "acr check-name", short: "Say whether a name is free", run: checkName, table: members, flags: []flag{nameFlag}},
		{path: "acr check-health", short: "Look whether this machine can work with a registry", run: checkHealth, table: nothing, flags: with(signInFlags, flag{name: "name", short: "n", help: "name of the registry"}, groupFlag, yesFlag, flag{name: "ignore-errors", kind: toggle, help: "go on after what fails"})},
		{path: "acr show-usage", short: "Show what a registry takes", run: showUsage, table: usageTable, flags: []flag{nameFlag, groupFlag}},
		{path: "acr credential show", short: "Show the passwords of the admin user", run: showCredential, table: credentialsTable, flags: []flag{nameFlag, groupFlag}},
		{path: "acr credential renew", short: "Make one of the admin user's passwords anew", run: renewCredential, table: credentialsTable, flags: []flag{nameFlag, groupFlag, {name: "password-name", required: true, values: "password password2"}}},
		{path: "acr identity assign", short: "Give identities to a registry", run: assignRegistryIdentity, table: registriesTable, flags: []flag{nameFlag, groupFlag, identitiesNeeded}},
		{path: "acr identity show", short: "Show the identities of a registry", run: showRegistryIdentity, table: identitiesTable, flags: []flag{nameFlag, groupFlag}},
		{path: "acr identity remove", short: "Take identities from a registry", run: removeRegistryIdentity, table: registriesTable, flags: []flag{nameFlag, groupFlag, identitiesNeeded}},
		{path: "acr login", short: "Log docker or podman in to a registry, or print a token for it", run: registryLogin, table: loginTable, flags: with(hostFlags, flag{name: "expose-token", short: "t", kind: toggle, help: "print the token"})},
		{path: "acr import", short: "Import an image", run: importImage, table: nothing, flags: []flag{nameFlag, groupFlag, {name: "source", required: true, help: "LOGINSERVER/repository:tag, or repository:tag with --registry"},
			{name: "image", short: "t", kind: list, help: "repository:tag"}, {name: "repository", kind: list, help: "repositories that get the image without a tag"},
			{name: "registry", short: "r", help: "source registry: name or resource ID"}, usernameFlag, passwordFlag, {name: "force", kind: toggle, help: "replace tags that exist"},
			{name: "platform", help: "only the image for OS/ARCHITECTURE[/VARIANT] of an image for several (not in the Azure CLI)"}, noWaitFlag}},
	}
}

func imageCommands() []command {
	repository := flag{name: "repository", required: true, help: "repository"}
	detail := flag{name: "detail", kind: toggle, help: "everything about each"}
	return []command{
		{path: "acr repository list", short: "List repositories", run: listRepositories, table: members, flags: with(hostFlags, topFlag)},
		{path: "acr repository show", short: "Show a repository or an image", run: showRepository, table: members, flags: with(hostFlags, repositoryOpt, imageFlag)},
		{path: "acr repository show-tags", short: "List tags", run: showTags, table: members, flags: with(hostFlags, repository, orderFlag, topFlag, detail)},
		{path: "acr repository show-manifests", short: "List manifests", run: showManifests, table: manifestsTable, flags: with(hostFlags, repository, orderFlag, topFlag, detail)},
		{path: "acr repository update", short: "Lock or unlock a repository or an image", run: updateRepository, table: members, flags: with(lockSwitches, with(hostFlags, repositoryOpt, imageFlag)...)},
		{path: "acr repository delete", short: "Delete a repository or an image", run: deleteRepository, table: nothing, flags: with(hostFlags, repositoryOpt, imageFlag, yesFlag)},
		{path: "acr repository list-deleted", short: "List repositories of which something can be restored", run: listDeletedRepositories, table: members, flags: hostFlags},
		{path: "acr repository untag", short: "Delete a tag", run: untag, table: nothing, flags: with(hostFlags, flag{name: "image", short: "t", required: true, help: "repository:tag"})},

		{path: "acr manifest list", short: "Show the manifests of a repository", args: "LOGINSERVER/REPOSITORY", run: listManifests, table: rawManifestsTable, flags: with(manifestFlags, orderFlag, topFlag)},
		{path: "acr manifest list-metadata", short: "Show what is known of the manifests of a repository", args: "LOGINSERVER/REPOSITORY", run: listManifestMetadata, table: metadataTable, flags: with(manifestFlags, orderFlag, topFlag)},
		{path: "acr manifest show", short: "Show a manifest", args: "LOGINSERVER/IMAGE", run: showManifest, table: members, flags: with(manifestFlags, flag{name: "raw", kind: toggle, help: "byte by byte"})},
		{path: "acr manifest show-metadata", short: "Show what is known of a manifest", args: "LOGINSERVER/IMAGE", run: showManifestMetadata, table: metadataTable, flags: manifestFlags},
		{path: "acr manifest update-metadata", short: "Lock or unlock a manifest", args: "LOGINSERVER/IMAGE", run: updateManifestMetadata, table: members, flags: with(lockSwitches, manifestFlags...)},
		{path: "acr manifest list-referrers", short: "List the artifacts that refer to a manifest", args: "LOGINSERVER/IMAGE", run: listReferrers, table: referrersTable, flags: with(manifestFlags, flag{name: "artifact-type", help: "only of this type"}, flag{name: "recursive", kind: toggle, help: "those that refer to them as well"})},
		{path: "acr manifest list-deleted", short: "List deleted manifests that can be restored", args: "LOGINSERVER/REPOSITORY", run: listDeletedManifests, table: deletedTable, flags: manifestFlags},
		{path: "acr manifest list-deleted-tags", short: "List deleted tags that can be restored", args: "LOGINSERVER/REPOSITORY", run: listDeletedTags, table: members, flags: manifestFlags},
		{path: "acr manifest restore", short: "Restore a deleted manifest under its tag", args: "LOGINSERVER/IMAGE", run: restoreManifest, table: members, flags: with(manifestFlags, flag{name: "digest", short: "d", help: "digest of the manifest, if not what the tag named last"}, flag{name: "force", short: "f", kind: toggle, help: "move the tag if it names something else"}, yesFlag)},
		{path: "acr manifest delete", short: "Delete a manifest with all its tags", args: "LOGINSERVER/IMAGE", run: deleteManifest, table: nothing, flags: with(manifestFlags, yesFlag)},
	}
}
