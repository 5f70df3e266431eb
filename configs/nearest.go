package configs

import "strings"

// nearest returns the known key that a typing slip could have turned into key, or "".
func nearest(key string, known []string) string {
	best, least := "", 3 // at most two slips
	for _, candidate := range known {
		// Short keys are all near each other: there a slip may change at most half the letters.
		if d := distance(strings.ToLower(key), candidate); d < least && 2*d <= len(candidate) {
			best, least = candidate, d
		}
	}
	return best
}

// distance counts the letters to insert, delete or replace (Levenshtein), in bytes:
// all known keys are ASCII. Keys too long to be near cost nothing.
func distance(a, b string) int {
	if len(a) > 2*len(b)+2 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
