// Package ncrontab reads the schedules of timers, and says when they are due. The meaning is
// that of NCrontab, which Azure's timers have: five fields, minute hour day month weekday, in
// UTC, all of which must fit. Where cron means "either" of two days, this means "both": 0 0 13
// * FRI is a Friday the thirteenth. The rules are in events-and-cache, section 6.
package ncrontab

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Schedule is a set of minutes of a calendar. It is a value, and may be used concurrently.
type Schedule struct {
	fields [5]uint64 // bit n: the value n fits
	notes  []string
}

// field is one of the five: its bounds, and the names that stand for values from the least on.
type field struct {
	name       string
	least, top int
	names      []string
}

var fields = [5]field{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day", 1, 31, nil},
	{"month", 1, 12, []string{"January", "February", "March", "April", "May", "June",
		"July", "August", "September", "October", "November", "December"}},
	{"weekday", 0, 6, []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}},
}

// The fields by their places.
const (
	minute = iota
	hour
	day
	month
	weekday
)

// SyntaxError says what is wrong with an expression, and where.
type SyntaxError struct {
	Position int    // of the first character that is wrong, from 1, in bytes
	Text     string // what is wrong there
	Why      string
}

// Error implements error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("'%s' at position %d: %s", e.Text, e.Position, e.Why)
}

// Parse reads an expression. Any error is a *SyntaxError.
func Parse(text string) (Schedule, error) {
	var s Schedule
	at := 0 // how many fields were read
	for begin := 0; begin < len(text); {
		if isBlank(text[begin]) {
			begin++
			continue
		}
		end := begin
		for end < len(text) && !isBlank(text[end]) {
			end++
		}
		if at == len(fields) {
			return s, &SyntaxError{begin + 1, text[begin:end], "there are five fields: minute hour day month weekday"}
		}
		if err := s.parseField(at, text[begin:end], begin); err != nil {
			return s, err
		}
		at, begin = at+1, end
	}
	if at < len(fields) {
		return s, &SyntaxError{len(text) + 1, "", "the " + fields[at].name + " is missing; there are five fields: minute hour day month weekday"}
	}
	return s, nil
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// Notes say what was taken for something else than cron would: for people.
func (s Schedule) Notes() []string { return s.notes }

// parseField reads a list of members, which begins at a place of the expression.
func (s *Schedule) parseField(at int, list string, begin int) error {
	for member := range strings.SplitSeq(list, ",") {
		set, err := s.parseMember(at, member, begin)
		if err != nil {
			return err
		}
		s.fields[at] |= set
		begin += len(member) + 1
	}
	return nil
}

// parseMember reads *, VALUE or FIRST-LAST, each with /STEP if need be.
func (s *Schedule) parseMember(at int, member string, begin int) (uint64, error) {
	f := fields[at]
	values, stepText, stepped := strings.Cut(member, "/")
	step := 1
	if stepped {
		var err error
		if step, err = strconv.Atoi(stepText); err != nil {
			return 0, &SyntaxError{begin + len(values) + 2, stepText, "the step is no number"}
		}
		step = max(step, 1)
	}
	if values == "*" {
		return every(f.least, f.top, step), nil
	}
	firstText, lastText, isRange := strings.Cut(values, "-")
	first, err := f.value(firstText, begin)
	if err != nil {
		return 0, err
	}
	last := first
	switch {
	case isRange:
		if last, err = f.value(lastText, begin+len(firstText)+1); err != nil {
			return 0, err
		}
	case stepped:
		last = f.top
	}
	if first > last { // turned round, not wrapped
		s.notes = append(s.notes, fmt.Sprintf("%s in the field %s means %s-%s", values, f.name, lastText, firstText))
		first, last = last, first
	}
	return every(first, last, step), nil
}

// value reads a number, or any beginning of a name: the first that fits counts.
func (f field) value(text string, begin int) (int, error) {
	wrong := func(why string) error { return &SyntaxError{begin + 1, text, why} }
	allowed := fmt.Sprintf("the field %s takes %d to %d", f.name, f.least, f.top)
	if f.names != nil {
		allowed += fmt.Sprintf(", or names such as %s", f.names[0][:3])
	}
	if text == "" {
		return 0, wrong("there is a value missing; " + allowed)
	}
	if text[0] >= '0' && text[0] <= '9' {
		n, err := strconv.Atoi(text)
		if err != nil || n < f.least || n > f.top {
			return 0, wrong(allowed)
		}
		return n, nil
	}
	for i, name := range f.names {
		if len(text) <= len(name) && strings.EqualFold(name[:len(text)], text) {
			return f.least + i, nil
		}
	}
	return 0, wrong(allowed)
}

func every(first, last, step int) (set uint64) {
	for n := first; n <= last; n += step {
		set |= 1 << n
	}
	return set
}

func (s Schedule) has(at, value int) bool { return s.fields[at]&(1<<value) != 0 }

// horizon is how many years are looked at: after it the calendar begins anew.
const horizon = 400

// Next returns the first minute after a time that fits, in UTC; the zero time if there is
// none, as for the thirtieth of February.
func (s Schedule) Next(after time.Time) time.Time {
	if !s.possible() {
		return time.Time{}
	}
	t := after.UTC().Truncate(time.Minute).Add(time.Minute)
	for end := t.Year() + horizon; t.Year() <= end; {
		switch {
		case !s.has(month, int(t.Month())):
			t = time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC)
		case !s.has(day, t.Day()) || !s.has(weekday, int(t.Weekday())):
			t = time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, time.UTC)
		case !s.has(hour, t.Hour()):
			t = time.Date(t.Year(), t.Month(), t.Day(), t.Hour()+1, 0, 0, 0, time.UTC)
		case !s.has(minute, t.Minute()):
			t = t.Add(time.Minute)
		default:
			return t
		}
	}
	return time.Time{}
}

// possible reports whether one of the days is in one of the months, in some year.
func (s Schedule) possible() bool {
	for m := time.January; m <= time.December; m++ {
		for d := 1; s.has(month, int(m)) && d <= time.Date(2024, m+1, 0, 0, 0, 0, 0, time.UTC).Day(); d++ {
			if s.has(day, d) {
				return true
			}
		}
	}
	return false
}
