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
