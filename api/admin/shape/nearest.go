package shape

import (
	"fmt"
	"strings"
)

// DidYouMean returns `; did you mean "x"?` for the name closest to word, to end an
// error message with, or nothing if none is close. Files and requests with fields
// that nobody knows are answered alike by everything that reads them.
func DidYouMean(word string, names []string) string {
	best, at := "", 3 // three edits away is another word
	if len(word) < 6 {
		at = 2
	}
	for _, n := range names {
		if d := distance(word, n); d <= at && (best == "" || d < at) {
			best, at = n, d
		}
	}
	for _, n := range names {
		if best == "" && len(word) >= 3 && (strings.HasPrefix(n, word) || strings.HasPrefix(word, n)) {
			best = n
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is the Levenshtein distance of two words, in bytes; words that are too
// long to be names are far from everything.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
