package cli

import (
	"strconv"
	"strings"
)

// Ranges writes numbers in order: those that follow each other as one range, "0-3, 8", and none as "none".
func Ranges(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		last := i
		for last+1 < len(numbers) && numbers[last+1] == numbers[last]+1 {
			last++
		}
		part := strconv.Itoa(numbers[i])
		if last > i {
			part += "-" + strconv.Itoa(numbers[last])
		}
		parts = append(parts, part)
		i = last + 1
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}
