package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/arm/resource"
)

// Documents implements resource.Store.
type Documents struct{ *DB }

var _ resource.Store = Documents{}

// body is a document as one JSON text.
type body struct {
	ID         string            `json:"id"`
	Kind       string            `json:"kind"`
	Location   string            `json:"location,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	SKU        *arm.SKU          `json:"sku,omitempty"`
	Identity   *arm.Identity     `json:"identity,omitempty"`
	Properties json.RawMessage   `json:"properties"`
	Created    time.Time         `json:"created"`
	Updated    time.Time         `json:"updated"`
	CreatedBy  string            `json:"createdBy,omitempty"`
	UpdatedBy  string            `json:"updatedBy,omitempty"`
}

const selectDocument = `SELECT d.body, d.etag FROM documents d `

// Get implements resource.Store.
func (s Documents) Get(ctx context.Context, id arm.ID) (resource.Document, error) {
	return found(scanDocument(s.queryRow(ctx, selectDocument+`WHERE d.key = $1`, id.Key())))
}

// Lookup implements resource.Store.
func (s Documents) Lookup(ctx context.Context, kind arm.Kind, key, value string) (resource.Document, error) {
	return found(scanDocument(s.queryRow(ctx, selectDocument+
		`JOIN document_keys k ON k.key = d.key WHERE k.kind = $1 AND k.name = $2 AND k.value = $3`,
		kind.Key(), key, strings.ToLower(value))))
}

func found(doc resource.Document, err error) (resource.Document, error) {
	if errors.Is(err, sql.ErrNoRows) {
		err = resource.ErrNotFound
	}
	return doc, err
}

func scanDocument(r row) (resource.Document, error) {
	var text, etag string
	if err := r.Scan(&text, &etag); err != nil {
		return resource.Document{}, err
	}
	var b body
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		return resource.Document{}, fmt.Errorf("decoding a document: %w", err)
	}
	id, err := arm.ParseID(b.ID)
	if err != nil {
		return resource.Document{}, err
	}
	return resource.Document{ID: id, Kind: arm.NewKind(b.Kind), Location: b.Location, Tags: b.Tags, SKU: b.SKU, Identity: b.Identity,
		Properties: b.Properties, ETag: etag, Created: b.Created, Updated: b.Updated, CreatedBy: b.CreatedBy, UpdatedBy: b.UpdatedBy}, nil
}

// Put implements resource.Store.
func (s Documents) Put(ctx context.Context, doc resource.Document) error {
	text, err := json.Marshal(body{ID: doc.ID.String(), Kind: doc.Kind.String(), Location: doc.Location, Tags: doc.Tags, SKU: doc.SKU,
		Identity: doc.Identity, Properties: doc.Properties, Created: doc.Created, Updated: doc.Updated, CreatedBy: doc.CreatedBy, UpdatedBy: doc.UpdatedBy})
	if err != nil {
		return fmt.Errorf("encoding the document of %s: %w", doc.ID, err)
	}
	return s.InTx(ctx, func(ctx context.Context) error {
		if err := s.countNew(ctx, doc); err != nil {
			return err
		}
		_, err := s.exec(ctx, `INSERT INTO documents (key, kind, body, etag) VALUES ($1, $2, $3, $4)
			ON CONFLICT (key) DO UPDATE SET body = excluded.body, etag = excluded.etag`, doc.ID.Key(), doc.Kind.Key(), string(text), doc.ETag)
		if err != nil {
			return fmt.Errorf("writing %s: %w", doc.ID, err)
		}
		return errors.Join(s.putKeys(ctx, doc), s.putTerms(ctx, doc))
	})
}

func (s Documents) putKeys(ctx context.Context, doc resource.Document) error {
	if _, err := s.exec(ctx, `DELETE FROM document_keys WHERE key = $1`, doc.ID.Key()); err != nil {
		return fmt.Errorf("replacing keys of %s: %w", doc.ID, err)
	}
	for name, value := range doc.Keys {
		n, err := s.exec(ctx, `INSERT INTO document_keys (kind, name, value, key) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			doc.Kind.Key(), name, strings.ToLower(value), doc.ID.Key())
		if err != nil {
			return fmt.Errorf("writing key %s of %s: %w", name, doc.ID, err)
		}
		if n == 0 {
			return fmt.Errorf("%s %q: %w", name, value, resource.ErrDuplicate)
		}
	}
	return nil
}

// Delete implements resource.Store.
func (s Documents) Delete(ctx context.Context, id arm.ID) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		doc, err := s.Get(ctx, id)
		if err != nil {
			return err
		}
		from, to := below(id.Key())
		if err := s.uncountTags(ctx, id.Key(), from, to); err != nil {
			return fmt.Errorf("deleting %s: %w", id, err)
		}
		clear(unitOf(ctx).repositories)
		all := dropRepositories(repositoriesBelow, id.Key(), from, to)
		for _, query := range cascade {
			all = append(all, statement{query, []any{id.Key(), from, to}})
		}
		all = append(all, statement{`UPDATE document_counts SET n = n - 1 WHERE parent = $1 AND kind = $2`, []any{id.Parent().Key(), doc.Kind.Key()}})
		if err := s.addAll(ctx, all); err != nil {
			return fmt.Errorf("deleting %s: %w", id, err)
		}
		return nil
	})
}

// registriesBelow are the names of the registries among $1 and what lies below it.
const registriesBelow = `SELECT value FROM document_keys WHERE name = 'registry' AND (key = $1 OR (key >= $2 AND key < $3))`

const repositoriesBelow = `SELECT id FROM repositories WHERE registry IN (` + registriesBelow + `)`

// cascade removes what hangs on a resource ($1) or lies below it (between $2 and
// $3), dependants first.
var cascade = []string{
	`DELETE FROM role_assignments WHERE scope = $1 OR (scope >= $2 AND scope < $3)
		OR principal_id IN (SELECT object_id FROM principals WHERE resource_key = $1 OR (resource_key >= $2 AND resource_key < $3))`,
	`DELETE FROM principals WHERE resource_key = $1 OR (resource_key >= $2 AND resource_key < $3)`,
	`DELETE FROM secrets WHERE resource = $1 OR (resource >= $2 AND resource < $3)`,
	`DELETE FROM operations WHERE resource = $1 OR (resource >= $2 AND resource < $3)`,
	`DELETE FROM runs WHERE registry = $1 OR (registry >= $2 AND registry < $3)`,
	`INSERT INTO garbage (storage_key, size) SELECT storage_key, size FROM uploads WHERE registry IN (` + registriesBelow + `) ON CONFLICT DO NOTHING`,
	`DELETE FROM uploads WHERE registry IN (` + registriesBelow + `)`,
	`DELETE FROM registry_sizes WHERE registry IN (` + registriesBelow + `)`,
	`DELETE FROM events WHERE registry IN (` + registriesBelow + `)`,
	`DELETE FROM document_counts WHERE parent = $1 OR (parent >= $2 AND parent < $3)`,
	`DELETE FROM documents WHERE key = $1 OR (key >= $2 AND key < $3)`,
}
