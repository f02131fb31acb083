package cli

import (
	"maps"
	"slices"
	"strings"
)

// What --output table shows: the columns of the Azure CLI where it has decided on some, for the
// rest what a person asks the command for, in a width that a terminal has.

// Of accounts, groups and resources of any type.
var (
	accountsTable = &table{columns: columns{{"Name", "name"}, {"CloudName", "cloudName"}, {"SubscriptionId", "id"},
		{"TenantId", "tenantId"}, {"State", "state"}, {"IsDefault", "isDefault"}}}
	// The token is longer than any line: what is beside it would not be seen.
	accessTokenTable = &table{columns: columns{{"Subscription", "subscription"}, {"Tenant", "tenant"},
		{"TokenType", "tokenType"}, {"AccessToken", "accessToken"}}}
	loginTable = &table{columns: columns{{"LoginServer", "loginServer"}, {"Username", "username"},
		{"AccessToken", "accessToken"}}}
	groupsTable = &table{columns: columns{{"Name", "name"}, {"Location", "location"},
		{"Status", "properties.provisioningState"}}}
	resourcesTable = &table{columns: columns{{"Name", "name"}, {"ResourceGroup", "resourceGroup"},
		{"Location", "location"},
		{"Type", "type"}, {"Status", "properties.provisioningState"}}}
	tagsTable = &table{columns: columns{{"Name", "name"}, {"Value", "value"}}, rows: tagRows}
)

// Of principals and what they may.
var (
	assignmentsTable = &table{columns: columns{{"Principal", "principalName || principalId"},
		{"Role", "roleDefinitionName || roleDefinitionId"}, {"Scope", "scope"}}}
	rolesTable = &table{columns: columns{{"Name", "roleName"}, {"Type", "type"},
		{"Description", "description"}}}
	principalsTable = &table{columns: columns{{"DisplayName", "displayName"}, {"Id", "id"}, {"AppId", "appId"},
		{"CreatedDateTime", "createdDateTime"}}, rows: byDisplayName}
	usersTable = &table{columns: columns{{"DisplayName", "displayName"},
		{"UserPrincipalName", "userPrincipalName"}, {"Id", "id"}, {"AccountEnabled", "accountEnabled"}},
		rows: byDisplayName}
	identitiesTable = &table{columns: columns{{"PRINCIPAL ID", "principalId"}, {"TENANT ID", "tenantId"},
		{"TYPE", "type"},
		{"USER ASSIGNED IDENTITIES", "join('\n', sort(keys(userAssignedIdentities || `{}`)))"}}}
)

// Of images.
var (
	manifestsTable = &table{columns: columns{{"Digest", "digest"}, {"Timestamp", "timestamp || lastUpdateTime"},
		{"Tags", "join(', ', tags || `[]`)"}}}
	metadataTable = &table{columns: columns{{"Digest", "digest"}, {"Tags", "join(', ', tags || `[]`)"},
		{"Os", "os"}, {"Architecture", "architecture"},
		{"ImageSize", "imageSize"}, {"CreatedTime", "createdTime"}, {"LastUpdateTime", "lastUpdateTime"}}}
	rawManifestsTable = &table{columns: columns{{"MediaType", "mediaType"}, {"ArtifactType", "artifactType"},
		{"SubjectDigest", "subject.digest"}}}
	referrersTable = &table{columns: columns{{"Digest", "digest"}, {"ArtifactType", "artifactType"},
		{"MediaType", "mediaType"}, {"Size", "size"}}, rows: referrerRows}
	deletedTable = &table{columns: columns{{"Digest", "digest"}, {"Tags", "join(', ', tags || `[]`)"},
		{"ImageSize", "imageSize"}, {"DeletedAt", "deletedAt"}, {"ExpiresAfter", "expiresAfter"}}}
)

// Of what a task has.
var (
	hooksTable  = &table{columns: columns{{"TRIGGER", "trigger"}, {"REPOSITORY", "repositoryUrl"}, {"URL", "url"}, {"SECRET", "secret"}}}
	timersTable = &table{columns: columns{{"NAME", "name"}, {"SCHEDULE", "schedule"}, {"STATUS", "status"}}}
	loginsTable = &table{columns: columns{{"LOGIN SERVER", "loginServer"}, {"IDENTITY", "identity"},
		{"USER NAME", "userName.value || userName.type"}}, rows: loginRows}
)

// tagRows are the tags of one resource, or all tag names with all their values.
func tagRows(value any) (rows []any) {
	object, one := value.(document)
	if !one {
		for _, row := range elements(value) {
			name, _ := row.(document) // the API has nothing else
			values := []string{}
			for _, each := range elements(name["values"]) {
				value, _ := each.(document)
				values = append(values, scalar(value["tagValue"]))
			}
			rows = append(rows, document{"name": name["tagName"], "value": strings.Join(values, ", ")})
		}
		return rows
	}
	properties, _ := object["properties"].(document)
	tags, _ := properties["tags"].(document) // null is none
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		rows = append(rows, document{"name": name, "value": tags[name]})
	}
	return rows
}

func byDisplayName(value any) []any {
	rows := elements(value)
	name := func(row any) string {
		object, _ := row.(document) // the API has nothing else
		return strings.ToLower(scalar(object["displayName"]))
	}
	slices.SortStableFunc(rows, func(a, b any) int { return strings.Compare(name(a), name(b)) })
	return rows
}

func referrerRows(value any) []any {
	index, _ := value.(document) // the API has nothing else
	return elements(index["manifests"])
}

// loginRows are the logins of a task, which are members named after their registries.
func loginRows(value any) (rows []any) {
	all, _ := value.(document) // null is none
	for _, server := range slices.Sorted(maps.Keys(all)) {
		login, _ := all[server].(document)
		row := maps.Clone(login)
		if row == nil {
			row = document{}
		}
		row["loginServer"] = server
		rows = append(rows, row)
	}
	return rows
}
