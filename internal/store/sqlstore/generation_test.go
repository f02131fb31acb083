package sqlstore

import (
	"context"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/memo"
	"github.com/acrux/acrux/internal/registry"
	"github.com/acrux/acrux/internal/store/sqlstore/sqlstoretest"
)

// A generation has grown when a change is answered, that of contents with every change,
// that of the rest with its own.
func TestGenerations(t *testing.T) {
	if sqlstoretest.Postgres() {
		t.Skip("it is another one there: TestGenerationOnPostgreSQL")
	}
	ctx, dir := t.Context(), t.TempDir()
	db, err := Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := Registry{DB: db}
	db.generations.looked.Store(time.Now().Add(time.Hour).UnixNano()) // nobody looks for others
	at := func() [2]uint64 {
		t.Helper()
		rest, ok := db.Generation(ctx)
		content, also := s.Generation(ctx)
		if !ok || !also {
			t.Fatal("there is no generation")
		}
		return [2]uint64{rest, content}
	}
	before := at()
	if err := s.EnsureRepository(ctx, registry.Name{Registry: "reg", Repository: "hello"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if now := at(); now[0] != before[0] || now[1] == before[1] {
		t.Errorf("a change of contents: %v, then %v", before, now)
	}
	before = at()
	if _, err := db.Setting(ctx, "x", func() string { return "y" }); err != nil {
		t.Fatal(err)
	}
	if now := at(); now[0] == before[0] || now[1] == before[1] {
		t.Errorf("a change of the rest: %v, then %v", before, now)
	}
	if err := db.InTx(ctx, func(ctx context.Context) error {
		if _, ok := db.Generation(ctx); ok {
			t.Error("there is a generation in a transaction")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// What another process commits is seen a moment later.
func TestOthersAreSeen(t *testing.T) {
	if sqlstoretest.Postgres() {
		t.Skip("it is another one there: TestGenerationOnPostgreSQL")
	}
	ctx, dir := t.Context(), t.TempDir()
	db, err := Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	other, err := OpenShared(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	look := func() uint64 {
		db.generations.looked.Store(0)
		n, _ := db.Generation(ctx)
		return n
	}
	look()
	before := look()
	if _, err := other.Setting(ctx, "x", func() string { return "y" }); err != nil {
		t.Fatal(err)
	}
	if after := look(); after == before {
		t.Error("nobody saw it")
	} else if look() != after {
		t.Error("it was seen twice")
	}
}

// On PostgreSQL servers see what others have changed, at once, but for the content of
// registries, of which nothing is remembered.
func TestGenerationOnPostgreSQL(t *testing.T) {
	if sqlstoretest.Postgres() {
		t.Skip("once is enough")
	}
	all := servers(t, sqlstoretest.Database(t), 2)
	ctx := t.Context()
	at := func(ctx context.Context) [2]uint64 {
		t.Helper()
		one, ok := all[0].Generation(ctx)
		two, also := all[1].Generation(ctx)
		if !ok || !also {
			t.Fatal("there is no generation")
		}
		return [2]uint64{one, two}
	}
	if _, ok := (Registry{DB: all[0]}).Generation(ctx); ok {
		t.Error("other servers push, and what is read of contents is remembered")
	}
	before, request := at(ctx), memo.Once(ctx)
	held := at(request)
	if err := (Registry{DB: all[0]}).EnsureRepository(ctx, registry.Name{Registry: "reg", Repository: "hello"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if now := at(ctx); now != before {
		t.Errorf("a change of contents: %v, then %v", before, now)
	}
	if _, err := all[0].Setting(ctx, "x", func() string { return "y" }); err != nil {
		t.Fatal(err)
	}
	now := at(ctx)
	if now[0] == before[0] || now[1] == before[1] {
		t.Errorf("a change of the rest: %v, then %v", before, now)
	}
	if again := at(ctx); again != now {
		t.Errorf("it is seen twice: %v, %v", now, again)
	}
	// A request that is under way sees its own server's changes.
	if again := at(request); again[0] == held[0] {
		t.Error("a request does not see what its server has changed since")
	}
	if err := all[1].InTx(ctx, func(ctx context.Context) error {
		if _, ok := all[1].Generation(ctx); ok {
			t.Error("there is a generation in a transaction")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
