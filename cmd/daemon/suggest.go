package daemon

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// didYouMean returns `; did you mean "x"?` for the closest of names, or nothing
// if none is close.
func didYouMean(word string, names []string) string {
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

// distance is the Levenshtein distance of two words, in bytes.
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

func keysOf[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
