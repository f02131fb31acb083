package armapi_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acrux/acrux/internal/access/rbac"
	"github.com/acrux/acrux/internal/arm"
	"github.com/acrux/acrux/internal/server/servertest"
)

// together is a store in which those who look an assignment up at the same time have seen it
// before one of them goes on, if nothing keeps them apart.
type together struct {
	rbac.Store
	seen atomic.Int32
}

func (s *together) Assignment(ctx context.Context, scope arm.ID, name string) (rbac.Assignment, error) {
	a, err := s.Store.Assignment(ctx, scope, name)
	s.seen.Add(1)
	for range 50 {
		if s.seen.Load() > 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return a, err
}

// Of many who take an assignment back at the same time one did, and no one is told of a fault.
func TestAssignmentsDeletedAtOnce(t *testing.T) {
	w := servertest.New(t)
	person := w.Person("reader", "Reader", w.Group)
	list := w.ARM(w.Admin, "GET", w.Group.String()+"/providers/Microsoft.Authorization/roleAssignments"+
		"?api-version=2022-04-01&$filter=principalId%20eq%20'"+string(person.ObjectID)+"'", "")
	values, _ := list.At("value").([]any)
	if len(values) != 1 {
		t.Fatalf("%d %s", list.Status, list.Body)
	}
	id, _ := values[0].(map[string]any)["id"].(string)
	w.Checker.Store = &together{Store: w.Checker.Store}
	var all sync.WaitGroup
	var done atomic.Int32
	for range 5 {
		all.Go(func() {
			switch a := w.ARM(w.Admin, "DELETE", id+"?api-version=2022-04-01", ""); a.Status {
			case 200:
				done.Add(1)
			case 204:
			default:
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	all.Wait()
	if done.Load() != 1 {
		t.Errorf("%d took it back", done.Load())
	}
}
