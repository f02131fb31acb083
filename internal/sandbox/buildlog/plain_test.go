package buildlog

import (
	"strings"
	"testing"
	"time"
)

func TestPlain(t *testing.T) {
	start := time.Unix(1000, 0)
	end := start.Add(1500 * time.Millisecond)
	var b strings.Builder
	p := NewPlain(&b)
	p.Vertex(Vertex{ID: "a", Name: "[1/2] FROM x", Started: start})
	p.Vertex(Vertex{ID: "b", Name: "[2/2] RUN y", Started: start})
	p.Vertex(Vertex{ID: "a", Name: "[1/2] FROM x", Started: start, Stopped: start, Cached: true})
	p.Log("b", 1, start.Add(time.Second), []byte("one\ntw"))
	p.Log("b", 1, end, []byte("o\nrest"))
	p.Status("b", "part")
	p.Vertex(Vertex{ID: "b", Name: "[2/2] RUN y", Started: start, Stopped: end, Error: "broken"})
	want := `#1 [1/2] FROM x
#1 ...

#2 [2/2] RUN y
#2 ...

#1 [1/2] FROM x
#1 CACHED

#2 [2/2] RUN y
#2 1.000 one
#2 1.500 two
#2 part done
#2 rest
#2 ERROR: broken
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// Warnings stand under the vertex that they are about, whenever they come.
func TestPlainWarnings(t *testing.T) {
	start := time.Unix(1000, 0)
	var b strings.Builder
	p := NewPlain(&b)
	p.Warn("a", "early")
	p.Vertex(Vertex{ID: "a", Name: "load", Started: start})
	p.Warn("a", "in time")
	p.Vertex(Vertex{ID: "a", Name: "load", Started: start, Stopped: start})
	p.Vertex(Vertex{ID: "b", Name: "RUN y", Started: start})
	p.Warn("a", "late")
	p.Vertex(Vertex{ID: "b", Name: "RUN y", Started: start, Stopped: start})
	p.Warn("nobody's", "lost")
	want := `#1 load
#1 WARN: early
#1 WARN: in time
#1 DONE 0.0s

#2 RUN y
#2 ...

#1 load
#1 WARN: late

#2 RUN y
#2 DONE 0.0s
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestWarnings(t *testing.T) {
	one := Warning{"A: a (line 2)", 2, 2}
	for _, test := range []struct {
		found []Warning
		want  string
	}{
		{nil, ""},
		{[]Warning{one, one}, "\n 1 warning found (use docker --debug to expand):\n - A: a (line 2)\n"},
		{[]Warning{{"B: b", 3, 3}, one, {"B: b", 4, 4}, {"of the whole", 0, 0}, {"A: second (line 2)", 2, 3}},
			"\n 5 warnings found (use docker --debug to expand):\n - of the whole\n - A: a (line 2)\n - A: second (line 2)\n - B: b\n - B: b\n"},
	} {
		if got := Warnings(test.found); got != test.want {
			t.Errorf("got\n%s\nwant\n%s", got, test.want)
		}
	}
}
