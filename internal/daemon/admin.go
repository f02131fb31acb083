package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/acrux/acrux/internal/access/identity"
	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/arm/resource"
	"github.com/acrux/acrux/internal/blob"
	"github.com/acrux/acrux/internal/disk"
	"github.com/acrux/acrux/internal/secret"
	"github.com/acrux/acrux/internal/store/blobstore"
	"github.com/acrux/acrux/internal/store/sqlstore"
)

// Admin is the first administrator as the data directory keeps it: with the secret
// in the clear, readable by the owner alone, until it is forgotten. The database has
// only a hash.
type Admin struct {
	ClientID string `json:"clientId"`
	Secret   string `json:"secret,omitempty"`
}

func adminFile(data string) string { return filepath.Join(data, "keys", "admin.json") }

// ReadAdmin reads the administrator's sign-in from a data directory.
func ReadAdmin(data string) (Admin, error) {
	var admin Admin
	text, err := os.ReadFile(adminFile(data))
	if err != nil {
		return admin, err
	}
	if err := json.Unmarshal(text, &admin); err != nil || admin.ClientID == "" {
		return admin, fmt.Errorf("%s is damaged: put it back from a copy, or remove it, and the next start makes another administrator", adminFile(data))
	}
	return admin, nil
}

// ForgetSecret removes the clear copy of the administrator's secret. It reports
// whether there was one.
func ForgetSecret(data string) (bool, error) {
	admin, err := ReadAdmin(data)
	if err != nil || admin.Secret == "" {
		return false, err
	}
	admin.Secret = ""
	return true, writeAdmin(data, admin)
}

// RotateSecret gives the administrator of a data directory another secret, whether its server
// runs or not, and takes all others. The data directory has the clear copy then. If this ends
// between the two, nobody knows the new one, and the next call makes another.
func RotateSecret(ctx context.Context, config Config) (admin Admin, err error) {
	if admin, err = ReadAdmin(config.Data); errors.Is(err, fs.ErrNotExist) {
		return admin, noServer(config.Data)
	} else if err != nil {
		return admin, err
	}
	db, err := openShared(ctx, config)
	if err != nil {
		return admin, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	directory, id := &identity.Directory{Store: sqlstore.Principals{DB: db}}, identity.ClientID(admin.ClientID)
	err = db.InTx(ctx, func(ctx context.Context) error {
		old, err := directory.Credentials(ctx, id)
		if err != nil {
			return err
		}
		for _, c := range old {
			if c.Kind != identity.Secret {
				continue
			}
			if err := directory.RemoveSecret(ctx, id, c.KeyID); err != nil {
				return err
			}
		}
		_, text, err := directory.AddSecret(ctx, id, identity.Credential{Start: time.Now()})
		admin.Secret = text.Reveal()
		return err
	})
	if err != nil {
		return admin, fmt.Errorf("the administrator's secret: %w", err)
	}
	return admin, writeAdmin(config.Data, admin)
}

func noServer(data string) error {
	return problem.New(problem.NotFound, "NoServer", "There is no server in the data directory %s.", data).Hint("acrux serve --data %s", data)
}

func writeAdmin(data string, admin Admin) error {
	text, err := json.MarshalIndent(admin, "", "  ")
	if err != nil {
		return err
	}
	return secret.WriteFile(adminFile(data), append(text, '\n'))
}

// owner is the role of the first administrator, at the root.
const owner = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"

// ensureAdmin makes the first administrator if the data directory does not know one.
// The clear copy is written after the commit: a crash in between leaves a principal
// whose secret nobody ever saw, and the next start makes another.
func ensureAdmin(ctx context.Context, store resource.Transactor, directory *identity.Directory, assignments rbac.Store, data string, now time.Time) error {
	if _, err := ReadAdmin(data); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var admin Admin
	err := store.InTx(ctx, func(ctx context.Context) error {
		p, text, err := directory.NewApplication(ctx, "acrux-admin", now)
		if err != nil {
			return err
		}
		admin = Admin{ClientID: string(p.ClientID), Secret: text.Reveal()}
		return assignments.PutAssignment(ctx, ownership(p, now))
	})
	if err != nil {
		return fmt.Errorf("making the first administrator: %w", err)
	}
	return writeAdmin(data, admin)
}

// openShared opens the database that a configuration names, whether its server runs or
// not.
func openShared(ctx context.Context, config Config) (*sqlstore.DB, error) {
	data := config.Data
	db, err := sqlstore.OpenShared(ctx, config.where())
	switch {
	case errors.Is(err, fs.ErrNotExist) && config.Database.Empty():
		return nil, noServer(data)
	case errors.Is(err, fs.ErrNotExist):
		return nil, problem.New(problem.NotFound, "NoServer", "No server has used the database yet.").Hint("acrux serve --data %s", data)
	case errors.Is(err, sqlstore.ErrSchema):
		return nil, problem.New(problem.Conflict, "OtherVersion", "The server in %s is of another version than this program. Start it once with this one.", data).Because(err)
	}
	if err == nil {
		db.Reserve = disk.New(data, config.Disk.reserve, slog.New(slog.DiscardHandler))
	}
	return db, err
}

// openBlobs opens the content of registries, where the configuration says.
func openBlobs(ctx context.Context, config Config, reserve *disk.Reserve) (blob.Store, error) {
	if config.Blobs.URL != "" {
		return blobstore.OpenS3(ctx, config.Blobs.URL, os.Getenv)
	}
	local, err := blobstore.OpenLocal(filepath.Join(config.Data, "blobs"))
	if err != nil {
		return nil, err
	}
	local.Reserve = reserve
	return local, nil
}

// ownership gives a principal the role of the first administrator.
func ownership(p identity.Principal, now time.Time) rbac.Assignment {
	return rbac.Assignment{Name: uuid.NewString(), Scope: arm.ID{}, PrincipalID: p.ObjectID, PrincipalType: p.Type(), RoleID: owner, Created: now, CreatedBy: string(p.ObjectID)}
}

// Published is what a running or stopped server says of itself to programs on the
// same machine: server.json in the data directory.
type Published struct {
	Address        string `json:"address"` // ip:port to dial
	Domain         string `json:"domain"`
	Port           string `json:"port"`
	TenantID       string `json:"tenantId"`
	SubscriptionID string `json:"subscriptionId"`
	CABundle       string `json:"caBundle"` // file
	ServerID       string `json:"serverId"` // tells servers of one database apart
	Listen         string `json:"listen"`   // as it was asked for
}

// URL is the address of one of the hosts, without a trailing slash.
func (p Published) URL(host string) string { return "https://" + host + "." + p.Suffix() }

// Suffix is the domain with the port, if it is not 443.
func (p Published) Suffix() string {
	if p.Port == "443" {
		return p.Domain
	}
	return p.Domain + ":" + p.Port
}

func publishedFile(data string) string { return filepath.Join(data, "server.json") }

// ReadPublished reads what the server of a data directory says of itself.
func ReadPublished(data string) (Published, error) {
	var p Published
	text, err := os.ReadFile(publishedFile(data))
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(text, &p); err != nil || p.Domain == "" {
		return p, fmt.Errorf("%s is damaged; the server writes it again when it starts", publishedFile(data))
	}
	return p, nil
}

// writePublished leaves a file that says the same as it is: a start need not write, as on a
// full disk. Who asks for just the address that the server had changes nothing either.
func writePublished(data string, p Published) error {
	before, err := ReadPublished(data)
	if p.Listen == p.Address && before.Address == p.Address {
		p.Listen = before.Listen
	}
	if err == nil && before == p {
		return nil
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return secret.WriteFile(publishedFile(data), append(text, '\n'))
}

// Schema is the number of the database's schema that this program makes.
func Schema() int64 { return sqlstore.Schema() }
