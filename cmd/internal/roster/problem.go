package roster

import (
	"bytes"
	"fmt"
	"regexp"
	"unicode/utf8"
)

const (
	problemLong  = "is longer than 64 KiB; is this a file of XUIDs?"
	problemNUL   = "has a NUL byte in it: if the file is UTF-16, save it again as UTF-8"
	problemQuote = `has text after a closing quote; a quote inside a quoted value is written twice ("")`
	problemValue = "has a value in its column xuid that is longer than any XUID"
	problemFirst = "; text has one XUID a line, and a CSV file a first line with a column xuid"
)

// What spreadsheets make of XUIDs.
var (
	shortened = regexp.MustCompile(`^[0-9]+([.,][0-9]+)?[eE]\+?[0-9]+$`)
	fraction  = regexp.MustCompile(`^[0-9]+[.,]0+$`)
	grouped   = regexp.MustCompile(`^[0-9]{1,3}([.,' ][0-9]{3})+$`)
	formula   = regexp.MustCompile(`^(="?|')[0-9]+"?$`)
)

// describe says what is wrong with a value that is no XUID, with err, of
// queue.XUID, for what has no better words.
func describe(value []byte, err error) string {
	const shown = 40
	quoted := fmt.Sprintf("%.*q", shown, value)
	switch {
	case len(value) == 0:
		return err.Error()
	case bytes.IndexByte(value, 0) >= 0:
		return problemNUL
	case shortened.Match(value):
		return quoted + " was shortened by a spreadsheet, and its last digits are lost: take the XUIDs from their source again, as text"
	case fraction.Match(value), grouped.Match(value), formula.Match(value):
		return quoted + " was formatted by a spreadsheet: format the column as text, digits only, and save it again"
	case bytes.IndexByte(value, '\r') >= 0:
		return quoted + " has a carriage return in it: lines must end with LF or CR LF"
	case !utf8.Valid(value):
		return quoted + " is not UTF-8; an XUID is a decimal number, digits only"
	default:
		return quoted + " " + err.Error()
	}
}
