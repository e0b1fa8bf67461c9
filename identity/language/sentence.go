package language

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// A sentence is one text, taken apart at its places.
type sentence []piece

// A piece is literal text, or a place for an argument.
type piece struct {
	literal string
	arg     int  // 1 the first, 0 none
	verb    byte // 's' or 'd'
}

// parse reads %s, %d, %[2]s, %[2]d and %%.
func parse(text string) (sentence, error) {
	var s sentence
	next, rest := 1, text
	for {
		before, after, found := strings.Cut(rest, "%")
		if before != "" {
			s = append(s, piece{literal: before})
		}
		if !found {
			return s, nil
		}
		if strings.HasPrefix(after, "%") {
			s, rest = append(s, piece{literal: "%"}), after[1:]
			continue
		}
		if strings.HasPrefix(after, "[") {
			number, behind, _ := strings.Cut(after[1:], "]")
			n, err := strconv.Atoi(number)
			if err != nil || n < 1 || n > 9 {
				return nil, fmt.Errorf("%q: no place %q", text, number)
			}
			next, after = n, behind
		}
		if after == "" || after[0] != 's' && after[0] != 'd' {
			return nil, fmt.Errorf("%q: a place is %%s or %%d", text)
		}
		s, rest = append(s, piece{arg: next, verb: after[0]}), after[1:]
		next++
	}
}

// places are what s has places for: 's' or 'd' by argument.
func (s sentence) places() map[int]byte {
	places := map[int]byte{}
	for _, p := range s {
		if p.arg > 0 {
			places[p.arg] = p.verb
		}
	}
	return places
}

func (s sentence) say(tag Tag, args []any) (string, error) {
	if len(s) == 1 && s[0].arg == 0 {
		return s[0].literal, nil
	}
	var b strings.Builder
	for _, p := range s {
		switch {
		case p.arg == 0:
			b.WriteString(p.literal)
		case p.arg > len(args):
			return "", fmt.Errorf("%d arguments for %v", len(args), s)
		case p.verb == 'd':
			n, ok := whole(args[p.arg-1])
			if !ok {
				return "", fmt.Errorf("%T is no whole number", args[p.arg-1])
			}
			b.WriteString(Number(tag, n))
		default:
			fmt.Fprint(&b, args[p.arg-1])
		}
	}
	return b.String(), nil
}

func whole(arg any) (int64, bool) {
	switch n := arg.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	}
	return 0, false
}

// Number writes n as t does, such as 12,345 in English and 12.345 in German.
func Number(t Tag, n int64) string {
	if n > -1000 && n < 1000 {
		return strconv.FormatInt(n, 10)
	}
	return message.NewPrinter(language.Make(string(t))).Sprintf("%d", n)
}
