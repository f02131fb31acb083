package lists

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // a driver
)

const (
	subscription = "30000000-0000-4000-8000-000000000003"
	group        = "/subscriptions/" + subscription + "/resourceGroups/lists"
	registryType = "/providers/Microsoft.ContainerRegistry/registries"
	registryID   = group + registryType + "/listsregistry"
)

// fill makes a database in the schema of 00006 with n of everything, and ten times as many
// tags of one manifest.
func fill(dir string, n int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "acrux.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
	if err != nil {
		return err
	}
	return errors.Join(write(db, n), db.Close())
}

func write(db *sql.DB, n int) error {
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("../../../internal/store/sqlstore/migrations"))
	if err != nil {
		return err
	}
	if _, err := provider.UpTo(context(), 6); err != nil {
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	for _, statement := range statements(n) {
		if _, err := tx.Exec(statement); err != nil {
			return fmt.Errorf("%.300s: %w", statement, err)
		}
	}
	return tx.Commit()
}

// many are n rows of a table, in which i is the number of the row.
func many(table string, n int, columns string) string {
	return fmt.Sprintf(`INSERT INTO %s WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT %s FROM n`, table, n, columns)
}

// documents are n resources of a type below a scope, beside one another.
func documents(n int, kind, id, properties string) string {
	text := func(id string) string { return "'" + strings.ReplaceAll(id, "#", "' || printf('%06d', i) || '") + "'" }
	body := `'{"id":' || json_quote(` + text(id) + `) || ',"kind":"` + kind + `","location":"eastus","tags":{"team":"blue"},"sku":{"name":"Premium"},"created":"2026-11-01T00:00:00Z","updated":"2026-11-01T00:00:00Z","properties":` + properties + `}'`
	return many("documents (key, kind, body, etag)", n, text(strings.ToLower(id))+`, '`+strings.ToLower(kind)+`', `+body+`, '"e"'`)
}

const sha = `'sha256:' || printf('%064x', i)`

func statements(n int) []string {
	step := `{"status":"Enabled","step":{"type":"EncodedTask","encodedTaskContent":"c3RlcHM6IFtdCg=="},"platform":{"os":"linux","architecture":"amd64"}}`
	run := `'{"registry":"` + registryID + `","task":"` + registryID + `/tasks/build000001","properties":{"runId":"ca' || i || '","outputImages":[{"registry":"r","repository":"hello","digest":"sha256:' || i || '"}]}}'`
	return []string{
		`INSERT INTO settings (name, value) VALUES ('subscription', '` + subscription + `')`,
		documents(1, "Microsoft.Resources/resourceGroups", group, `{"provisioningState":"Succeeded"}`),
		documents(1, "Microsoft.ContainerRegistry/registries", registryID, `{}`),
		`INSERT INTO document_keys (kind, name, value, key) VALUES ('microsoft.containerregistry/registries', 'registry', 'listsregistry', lower('` + registryID + `'))`,
		documents(n, "Microsoft.Resources/resourceGroups", "/subscriptions/"+subscription+"/resourceGroups/group#", `{"provisioningState":"Succeeded"}`),
		documents(n, "Microsoft.ContainerRegistry/registries", group+registryType+"/other#", `{}`),
		documents(n, "Microsoft.ManagedIdentity/userAssignedIdentities", group+"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/identity#", `{"principalId":"p","clientId":"c"}`),
		documents(n, "Microsoft.ContainerRegistry/registries/tasks", registryID+"/tasks/build#", step),
		documents(n, "Microsoft.ContainerRegistry/registries/tokens", registryID+"/tokens/token#", `{"status":"enabled","credentials":{"certificates":[],"passwords":[]}}`),
		documents(n, "Microsoft.ContainerRegistry/registries/scopeMaps", registryID+"/scopeMaps/zmap#", `{"type":"UserDefined","actions":["repositories/a/content/read"]}`),
		documents(n, "Microsoft.ContainerRegistry/registries/agentPools", registryID+"/agentPools/pool#", `{"count":1,"tier":"S1","os":"Linux","provisioningState":"Succeeded"}`),
		many("principals (object_id, app_id, kind, display_name, created)", n, `printf('10000000-0000-0000-0000-%012d', i), printf('20000000-0000-0000-0000-%012d', i), 'Application', 'Robot ' || i, 1`),
		many("principals (object_id, user_name, kind, display_name, created)", n, `printf('11000000-0000-0000-0000-%012d', i), 'user' || i || '@example.com', 'User', 'Person ' || i, 1`),
		many("applications (object_id, app_id, display_name, created)", n, `printf('12000000-0000-0000-0000-%012d', i), printf('20000000-0000-0000-0000-%012d', i), 'Robot ' || i, 1`),
		many("role_assignments (scope, name, scope_id, principal_id, principal_type, role_id, created, created_by)", n,
			`lower('`+registryID+`'), printf('13000000-0000-0000-0000-%012d', i), '`+registryID+`', printf('10000000-0000-0000-0000-%012d', i % 50), 'ServicePrincipal', 'role' || i, i, 'me'`),
		many("runs (registry, number, run_id, task, status, os, arch, body, created, updated, started, finished)", n,
			`lower('`+registryID+`'), i, 'ca' || i, lower('`+registryID+`/tasks/build000001'), 'Succeeded', 'linux', 'amd64', `+run+`, i, i, i, i`),
		many("repositories (id, registry, name, created, updated)", n, `i, 'listsregistry', printf('many/%06d', i), 1, 1`),
		many("blobs (id, digest, size, storage_key, created)", n, `i, `+sha+`, 1000, 'k' || i, 1`),
		many("repository_blobs (repository, blob, created)", n, `i, i, 1`),
		`INSERT OR IGNORE INTO repository_blobs (repository, blob, created) SELECT 1, id, 1 FROM blobs`,
		many("payloads (digest, body)", n, sha+`, x'7b7d'`),
		many("manifests (id, repository, digest, media_type, size, image_size, created, updated)", n, `i, 1, `+sha+`, 'application/vnd.oci.image.manifest.v1+json', 500, 1000, i, i`),
		many("manifests (id, repository, digest, media_type, subject, artifact_type, size, image_size, created, updated)", n,
			`1000000 + i, 2, `+sha+`, 'application/vnd.oci.image.manifest.v1+json', 'sha256:`+strings.Repeat("a", 64)+`', 'application/sbom', 500, 1000, i, i`),
		many("tags (repository, name, manifest, created, updated)", 10*n, `1, printf('tag%07d', i), 1, i, i`),
		`UPDATE repositories SET tag_count = ` + fmt.Sprint(10*n) + `, manifest_count = ` + fmt.Sprint(n) + ` WHERE id = 1`,
	}
}
