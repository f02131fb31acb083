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
		c.Log("sha256:bbbbbbbbbbbbbbbb", 1, []byte("out\n"))
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
		c.Log("f", 1, []byte("fast\n"))
		c.Done("f", false)
		c.Log("s", 1, []byte("slow\n"))
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
		c.Log("b", 1, []byte("broken\n"))
		c.Failed(2)
		c.Done("b", false)
	})
	want := "Step 1/4 : ARG A\nStep 2/4 : FROM x:1\nStep 3/4 : RUN one\nbroken\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// What the streams of a step print does not part one another's lines, and what has no end
// is printed before what comes next, also if the step fails.
func TestClassicKeepsStreamsApart(t *testing.T) {
	begin := func(c *Classic) {
		c.Begin([]Step{{Text: "RUN a"}, {Text: "RUN b"}})
		c.Locate("a", 0)
		c.Locate("b", 1)
		c.Located()
		c.Log("b", 1, []byte("pass"))
		c.Log("b", 2, []byte("between\n"))
		c.Log("b", 1, []byte("word\n"))
		c.Log("a", 1, []byte("pass"))
		c.Log("a", 2, []byte("between\nno "))
		c.Log("a", 1, []byte("word\nend"))
		c.Log("a", 2, []byte("end"))
	}
	const first = "Step 1/2 : RUN a\nbetween\npassword\nend\nno end\n"
	got := print(t, func(c *Classic) {
		begin(c)
		c.Done("a", false)
		c.Done("b", false)
		c.End()
	})
	if want := first + " ---> a\nStep 2/2 : RUN b\nbetween\npassword\n ---> b\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	got = print(t, func(c *Classic) {
		begin(c)
		c.Failed(0)
	})
	if got != first {
		t.Errorf("got\n%swant\n%s", got, first)
	}
}

// A line that never ends is not kept back for ever.
func TestLongLines(t *testing.T) {
	l, came := lines{}, 0
	for range 200 {
		came += len(l.add(1, []byte(strings.Repeat("x", 1000))))
	}
	if came < 200*1000-maxLine-1000 || came+len(l[1]) != 200*1000 {
		t.Errorf("%d bytes came, %d are kept", came, len(l[1]))
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
