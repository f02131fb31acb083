package taskfile

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
)

// Task files come from strangers, and a template is a program. These bounds keep
// it from using up the machine that renders it.
const (
	maxOutput  = 10 << 20         // bytes of a rendered text
	maxWork    = 32 << 20         // bytes that functions may handle in one rendering; a call or an element counts as 16
	maxTime    = 10 * time.Second // of one rendering
	maxNesting = 100              // of a value

	element = 16 // what a call or an element of a value costs
	turn    = 64 // what a turn of a loop or the call of a template costs
)

// Names of the two functions that are woven into every template.
const (
	tickFunc   = "acb_tick"
	outputFunc = "acb_output"
)

// meter counts the work of one rendering. Every function call pays for its
// arguments and its result, every turn of a loop and every call of a template pays
// as well: so neither time nor memory can grow without passing it.
type meter struct {
	deadline time.Time
	left     int64
}

func newMeter() *meter { return &meter{deadline: time.Now().Add(maxTime), left: maxWork} }

var errTooMuch = errors.New("the template does too much work or makes too much text")

func (m *meter) spend(n int64) error {
	if n < 0 || n > m.left {
		return errTooMuch
	}
	m.left -= n
	if time.Now().After(m.deadline) {
		return fmt.Errorf("rendering took longer than %v", maxTime)
	}
	return nil
}

// measure pays for a value and all that it holds. A value within itself is nested
// without end, and found by that.
func (m *meter) measure(v reflect.Value, depth int) error {
	if depth > maxNesting {
		return errors.New("a value is nested too deeply")
	}
	for v.IsValid() && v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		return m.pay(int64(v.Len()))
	case reflect.Slice, reflect.Array:
		return m.measureList(v, depth)
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			if err := errors.Join(m.measure(entries.Key(), depth+1), m.measure(entries.Value(), depth+1)); err != nil {
				return err
			}
		}
	}
	return m.pay(element)
}

func (m *meter) measureList(v reflect.Value, depth int) error {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return m.pay(int64(v.Len()))
	}
	for i := range v.Len() {
		if err := m.measure(v.Index(i), depth+1); err != nil {
			return err
		}
	}
	return m.pay(element)
}

// pay is spend without a look at the clock, for the many small parts of a value.
func (m *meter) pay(n int64) error {
	if n > m.left {
		return errTooMuch
	}
	m.left -= n
	return nil
}

// wrap returns the functions with a meter around each.
func (m *meter) wrap(funcs template.FuncMap) template.FuncMap {
	wrapped := template.FuncMap{
		tickFunc: func() (string, error) { return "", m.spend(turn) },
		outputFunc: func(v any) (any, error) {
			return v, m.measure(reflect.ValueOf(v), 0)
		},
	}
	builtin := template.FuncMap{
		"print": fmt.Sprint, "printf": fmt.Sprintf, "println": fmt.Sprintln,
		"html": template.HTMLEscaper, "js": template.JSEscaper, "urlquery": template.URLQueryEscaper,
	}
	all := maps.Clone(funcs)
	maps.Copy(all, builtin)
	for name, function := range all {
		wrapped[name] = m.wrapOne(name, reflect.ValueOf(function))
	}
	return wrapped
}

var errorType = reflect.TypeFor[error]()

func (m *meter) wrapOne(name string, function reflect.Value) any {
	typ := function.Type()
	in := make([]reflect.Type, typ.NumIn())
	for i := range in {
		in[i] = typ.In(i)
	}
	out := []reflect.Type{typ.Out(0), errorType}
	metered := reflect.MakeFunc(reflect.FuncOf(in, out, typ.IsVariadic()), func(args []reflect.Value) []reflect.Value {
		result, err := m.call(name, function, args)
		failure := reflect.Zero(errorType)
		if err != nil {
			result, failure = reflect.Zero(out[0]), reflect.ValueOf(&err).Elem()
		}
		return []reflect.Value{result, failure}
	})
	return metered.Interface()
}

func (m *meter) call(name string, function reflect.Value, args []reflect.Value) (reflect.Value, error) {
	for _, arg := range args {
		if err := m.measure(arg, 0); err != nil {
			return reflect.Value{}, err
		}
	}
	if err := m.spend(element + foresee(name, args)); err != nil {
		return reflect.Value{}, err
	}
	call := function.Call
	if function.Type().IsVariadic() {
		call = function.CallSlice
	}
	results := call(args)
	if len(results) == 2 && !results[1].IsNil() {
		return reflect.Value{}, results[1].Interface().(error)
	}
	return results[0], m.measure(results[0], 0)
}

// foresee estimates what a call makes out of little, before it does.
func foresee(name string, args []reflect.Value) int64 {
	number := func(i int) int64 { return clamp(integer(args[i])) }
	length := func(i int) int64 { return int64(len(text(args[i]))) }
	switch name {
	case "repeat":
		return number(0) * max(1, length(1))
	case "until", "randAlpha", "randAlphaNum", "randAscii", "randNumeric", "randBytes":
		return element * number(0)
	case "untilStep":
		return element * clamp(integer(args[1])-integer(args[0]))
	case "seq":
		return foreseeSequence(args[0])
	case "indent", "nindent":
		return number(0) * int64(1+strings.Count(text(args[1]), "\n"))
	case "replace":
		return length(1) * int64(strings.Count(text(args[2]), text(args[0])))
	case "join":
		return length(0) * elements(args[1])
	case "regexReplaceAll", "mustRegexReplaceAll", "regexReplaceAllLiteral", "mustRegexReplaceAllLiteral":
		return (1 + length(1)) * (1 + length(2))
	case "wrapWith":
		return length(1) * (1 + length(2))
	case "printf":
		return foreseeFormat(text(args[0]))
	case "genPrivateKey", "genCA", "genCAWithKey", "genSelfSignedCert", "genSelfSignedCertWithKey",
		"genSignedCert", "genSignedCertWithKey", "derivePassword", "htpasswd", "bcrypt":
		return maxWork / 4 // slow: pays so that few calls are possible
	}
	return 0
}

func foreseeSequence(list reflect.Value) int64 {
	var low, high int64
	for i := range list.Len() {
		n := integer(list.Index(i))
		low, high = min(low, n), max(high, n)
	}
	return element * clamp(high-low)
}

// foreseeFormat charges for formats with a width of their own.
func foreseeFormat(format string) int64 {
	digits := 0
	for _, r := range format {
		if digits++; r < '0' || r > '9' {
			digits = 0
		}
		if digits > 2 || r == '*' {
			return int64(strings.Count(format, "%")) * 1_000_000
		}
	}
	return 0
}

func clamp(n int64) int64 { return min(max(n, 0), maxWork+1) }

// integer reads an argument as sprig's casts do where it matters for a size.
func integer(v reflect.Value) int64 {
	for v.IsValid() && v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch {
	case !v.IsValid():
		return 0
	case v.CanInt():
		return v.Int()
	case v.CanUint():
		return clamp(int64(min(v.Uint(), maxWork+1)))
	case v.CanFloat():
		return int64(min(v.Float(), maxWork+1))
	}
	var n int64
	if _, err := fmt.Sscan(text(v), &n); err != nil {
		return 0
	}
	return n
}

func elements(v reflect.Value) int64 {
	for v.IsValid() && v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.IsValid() && (v.Kind() == reflect.Slice || v.Kind() == reflect.Array) {
		return int64(v.Len())
	}
	return 1
}

func text(v reflect.Value) string {
	for v.IsValid() && v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.IsValid() && v.Kind() == reflect.String {
		return v.String()
	}
	return ""
}

// weave puts a tick at the start of every loop body and every template, and a
// check before everything that is printed. It returns where the literal texts are,
// by their first byte: that is how the writer of a template knows them.
func weave(set *template.Template) map[*byte]int {
	literals := map[*byte]int{}
	for _, t := range set.Templates() {
		if t.Tree != nil && t.Root != nil {
			weaveList(t.Root, literals)
			t.Root.Nodes = append([]parse.Node{tick()}, t.Root.Nodes...)
		}
	}
	return literals
}

func weaveList(list *parse.ListNode, literals map[*byte]int) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch node := node.(type) {
		case *parse.TextNode:
			if len(node.Text) > 0 {
				literals[&node.Text[0]] = int(node.Pos)
			}
		case *parse.ActionNode:
			if len(node.Pipe.Decl) == 0 {
				node.Pipe.Cmds = append(node.Pipe.Cmds, command(outputFunc, node.Pos))
			}
		case *parse.IfNode:
			weaveList(node.List, literals)
			weaveList(node.ElseList, literals)
		case *parse.WithNode:
			weaveList(node.List, literals)
			weaveList(node.ElseList, literals)
		case *parse.RangeNode:
			weaveList(node.List, literals)
			weaveList(node.ElseList, literals)
			node.List.Nodes = append([]parse.Node{tick()}, node.List.Nodes...)
		}
	}
}

func tick() parse.Node {
	return &parse.ActionNode{NodeType: parse.NodeAction, Pipe: &parse.PipeNode{
		NodeType: parse.NodePipe, Cmds: []*parse.CommandNode{command(tickFunc, 0)}}}
}

func command(function string, pos parse.Pos) *parse.CommandNode {
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pos, Args: []parse.Node{parse.NewIdentifier(function).SetPos(pos)}}
}

// limitedBuffer takes up to maxOutput bytes, and notes which of them are the
// template's own text. What is not comes from where the last such text ended.
type limitedBuffer struct {
	bytes.Buffer
	literals map[*byte]int
	from     origin
	end      int
	inserted []string
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxOutput {
		return 0, errTooMuch
	}
	if len(p) > 0 {
		pos, literal := b.literals[&p[0]]
		if literal {
			b.from.mark(b.Len(), pos, false)
			b.end = pos + len(p)
		} else {
			b.from.mark(b.Len(), b.end, true)
			b.insert(string(p))
		}
	}
	return b.Buffer.Write(p)
}

// maxInserted bounds how many texts of a template are kept.
const maxInserted = 1000

// insert keeps a text that a shell may read otherwise than it is. Entries of an environment
// are split at commas later. Of too many texts nothing is known but the signs that matter.
func (b *limitedBuffer) insert(text string) {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if !strings.ContainsAny(part, "$`'\"") {
			continue
		}
		if len(b.inserted) == maxInserted {
			b.inserted = append(b.inserted[:0], "$", "`", "'", "\"")
		}
		b.inserted = append(b.inserted, part)
	}
}
