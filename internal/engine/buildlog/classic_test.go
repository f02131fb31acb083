package buildlog

import (
	"strings"
	"testing"
)

func print(t *testing.T, tell func(c *Classic)) string {
	t.Helper()
	var b strings.Builder
	tell(NewClassic(&b))
	return b.String()
}

var four = []Step{{"ARG A", true}, {"FROM x:1", false}, {"RUN one", false}, {"CMD two", false}}

func TestClassic(t *testing.T) {
	got := print(t, func(c *Classic) {
		c.Begin(four)
		c.Base(1, "1: Pulling from x\n", "0123456789ab")
		c.Locate("sha256:aaaa", 1)
		c.Locate("sha256:bbbbbbbbbbbbbbbb", 2)
		c.Located()
		c.Done("sha256:aaaa", false)
		c.Log("sha256:bbbbbbbbbbbbbbbb", []byte("out\n"))
		c.Done("sha256:bbbbbbbbbbbbbbbb", false)
		c.End()
	})
	want := `Step 1/4 : ARG A
Step 2/4 : FROM x:1
1: Pulling from x
 ---> 0123456789ab
Step 3/4 : RUN one
out
 ---> bbbbbbbbbbbb
Step 4/4 : CMD two
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestClassicKeepsTheOrderOfTheFile(t *testing.T) {
	got := print(t, func(c *Classic) {
		c.Begin([]Step{{Text: "RUN slow"}, {Text: "RUN fast"}})
		c.Locate("s", 0)
		c.Locate("f", 1)
		c.Located()
		c.Log("f", []byte("fast\n"))
		c.Done("f", false)
		c.Log("s", []byte("slow\n"))
		c.Done("s", true)
		c.End()
	})
	want := "Step 1/2 : RUN slow\nslow\n ---> Using cache\n ---> s\nStep 2/2 : RUN fast\nfast\n ---> f\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestClassicStopsAtTheFailure(t *testing.T) {
	got := print(t, func(c *Classic) {
		c.Begin(four)
		c.Locate("b", 2)
		c.Located()
		c.Log("b", []byte("broken\n"))
		c.Failed(2)
		c.Done("b", false)
	})
	want := "Step 1/4 : ARG A\nStep 2/4 : FROM x:1\nStep 3/4 : RUN one\nbroken\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestSize(t *testing.T) {
	for _, test := range []struct {
		in   int64
		want string
	}{{0, "0B"}, {999, "999B"}, {25600, "25.6kB"}, {2048, "2.048kB"}, {1234567, "1.235MB"}} {
		if got := Size(test.in); got != test.want {
			t.Errorf("Size(%d) = %s, want %s", test.in, got, test.want)
		}
	}
}
