package ncrontab

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const stamp = "2006-01-02T15:04"

// The table has been made by another reading of the rules, in another language.
func TestNext(t *testing.T) {
	text, err := os.ReadFile("testdata/next.txt")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 12, 2, 23, 30, 17, 0, time.UTC)
	rows := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(rows) < 200 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	for _, row := range rows {
		expression, want, _ := strings.Cut(row, " => ")
		s, err := Parse(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		var got []string
		for at := s.Next(start); len(got) < 10 && !at.IsZero(); at = s.Next(at) {
			got = append(got, at.Format(stamp))
		}
		if len(got) == 0 {
			got = []string{"never"}
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s:\n got %s\nwant %s", expression, text, want)
		}
	}
}

// What NCrontab refuses is refused, at its place.
func TestRefused(t *testing.T) {
	for expression, want := range map[string]struct {
		position int
		text     string
	}{
		"":                               {1, ""},
		"   ":                            {4, ""},
		"* * * *":                        {8, ""},
		"* * * * * *":                    {11, "*"},
		"0 * * * * 2026":                 {11, "2026"},
		"@daily":                         {1, "@daily"},
		"60 * * * *":                     {1, "60"},
		"0 24 * * *":                     {3, "24"},
		"0 0 0 * *":                      {5, "0"},
		"0 0 32 * *":                     {5, "32"},
		"0 0 1 0 *":                      {7, "0"},
		"0 0 1 13 *":                     {7, "13"},
		"0 0 * * 7":                      {9, "7"},
		"0 0 ? * *":                      {5, "?"},
		"0 0 L * *":                      {5, "L"},
		"0 0 15W * *":                    {5, "15W"},
		"0 0 * * 5L":                     {9, "5L"},
		"0 0 * * 2#1":                    {9, "2#1"},
		"0 0 * * Su#1":                   {9, "Su#1"},
		"-1 * * * *":                     {1, ""},
		"+1 * * * *":                     {1, "+1"},
		"1,,2 * * * *":                   {3, ""},
		"1, * * * *":                     {3, ""},
		",1 * * * *":                     {1, ""},
		"1,60,2 * * * *":                 {3, "60"},
		"1-60 * * * *":                   {3, "60"},
		"1- * * * *":                     {3, ""},
		"1-2-3 * * * *":                  {3, "2-3"},
		"*-5 * * * *":                    {1, "*"},
		"*/x * * * *":                    {3, "x"},
		"*/ * * * *":                     {3, ""},
		"*/2/3 * * * *":                  {3, "2/3"},
		"/5 * * * *":                     {1, ""},
		"1a * * * *":                     {1, "1a"},
		"MON * * * *":                    {1, "MON"},
		"0 0 1 Mon *":                    {7, "Mon"},
		"0 0 * * Jan":                    {9, "Jan"},
		"0 0 * * Mondays":                {9, "Mondays"},
		"0 0 * * Mon-Xyz":                {13, "Xyz"},
		"0 0 1 Janu1 *":                  {7, "Janu1"},
		"** * * * *":                     {1, "**"},
		"0 \t 99 * * *":                  {5, "99"},
		"99999999999999999999 * * * *":   {1, "99999999999999999999"},
		"*/99999999999999999999 * * * *": {3, "99999999999999999999"},
		"１ * * * *":                      {1, "１"},
		"TZ=UTC 0 0 * *":                 {1, "TZ=UTC"},
	} {
		_, err := Parse(expression)
		var wrong *SyntaxError
		if !errors.As(err, &wrong) || wrong.Position != want.position || wrong.Text != want.text || wrong.Why == "" {
			t.Errorf("%q: %+v", expression, err)
		}
	}
}

// What cron would read otherwise is noted.
func TestNotes(t *testing.T) {
	for expression, want := range map[string][]string{
		"0 22-2 * * *":      {"22-2 in the field hour means 2-22"},
		"0 0 * * FRI-MON/2": {"FRI-MON in the field weekday means MON-FRI"},
		"0 2-22 * * *":      nil,
	} {
		s, err := Parse(expression)
		if err != nil || !slices.Equal(s.Notes(), want) {
			t.Errorf("%s: %q, %v", expression, s.Notes(), err)
		}
	}
}

// Whatever is given, there is an answer: none before the time, each in the schedule.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"* * * * *", "0 0 29 2 MON", "5/20 22-2 1,2 J */0", "0 0 30 2 *"} {
		f.Add(seed)
	}
	start := time.Date(2026, 12, 2, 23, 30, 17, 0, time.UTC)
	f.Fuzz(func(t *testing.T, expression string) {
		s, err := Parse(expression)
		if err != nil {
			return
		}
		next := s.Next(start)
		if !next.IsZero() && (!next.After(start) || next.Second() != 0 || !s.has(minute, next.Minute()) || !s.has(hour, next.Hour()) ||
			!s.has(day, next.Day()) || !s.has(month, int(next.Month())) || !s.has(weekday, int(next.Weekday()))) {
			t.Errorf("%q: %v", expression, next)
		}
	})
}

func BenchmarkNextRare(b *testing.B) {
	s, err := Parse("0 0 29 2 MON")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s.Next(time.Date(2044, 3, 1, 0, 0, 0, 0, time.UTC))
	}
}
