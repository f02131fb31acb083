package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/acrux/acrux/internal/daemon"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

// The database comes from the file or the environment, and its password goes nowhere.
func TestDatabaseSetting(t *testing.T) {
	data := t.TempDir()
	must(t, os.WriteFile(filepath.Join(data, "acrux.yaml"), []byte("database: postgres://acrux:hunter2@db/one\n"), 0o600))
	for variable, want := range map[string]string{"": "postgres://acrux:hunter2@db/one", "postgres://acrux:hunter2@db/two": "postgres://acrux:hunter2@db/two"} {
		config, err := daemon.LoadConfig(data, "", func(name string) string { return map[string]string{"ACRUX_DATABASE": variable}[name] })
		must(t, err)
		must(t, config.Complete())
		if got := config.Database.Reveal(); got != want {
			t.Errorf("it is %s", got)
		}
		shown, err := yaml.Marshal(config)
		must(t, err)
		if all := fmt.Sprintf("%s %v %+v %#v", shown, config, config, config); strings.Contains(all, "hunter2") || !strings.Contains(all, "database: '***'") {
			t.Errorf("it is shown: %s", all)
		}
	}
	for _, bad := range []string{"mysql://hunter2@db", "hunter2", "/var/lib/hunter2"} {
		if why := refused(t, daemon.Config{Data: t.TempDir(), Database: secret.New(bad)}); strings.Contains(why, "hunter2") || !strings.Contains(why, "postgres://") {
			t.Errorf("%s: %s", bad, why)
		}
	}
}

// Another server of a database has the first one's keys, and leaves alone what that does.
func TestTwoServersOfADatabase(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	url := secret.New(sqlstoretest.Database(t))
	p, _ := start(t, daemon.Config{Data: first, Database: url, Executor: &enginetest.Fake{}})
	ids := registries(t, signIn(t, first, p), "myregistry")
	config := daemon.Config{Data: second, Database: url, Executor: &enginetest.Fake{}}
	if why := refused(t, config); !strings.Contains(why, "master.key is missing") {
		t.Errorf("without the keys: %s", why)
	}
	must(t, os.RemoveAll(filepath.Join(second, "keys")))
	must(t, os.CopyFS(filepath.Join(second, "keys"), os.DirFS(filepath.Join(first, "keys"))))
	must(t, os.Chmod(filepath.Join(second, "keys"), 0o700))
	for _, name := range []string{"master.key", "admin.json"} {
		must(t, os.Chmod(filepath.Join(second, "keys", name), 0o600))
	}
	q, _ := start(t, config)
	if q.TenantID != p.TenantID || q.SubscriptionID != p.SubscriptionID || q.ServerID == p.ServerID {
		t.Errorf("the first: %+v, the second: %+v", p, q)
	}
	do(t, signIn(t, second, q), "GET", ids[0], nil)
	if admins := sqlstoretest.Texts(t, url.Reveal(), `SELECT display_name FROM principals`); len(admins) != 1 {
		t.Errorf("the administrators are %v", admins)
	}
}
